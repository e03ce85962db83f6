// The grains in space, drawn by WebGL 2 when something has changed.

const SPACE = {gl: null, boxes: null, arrows: null, lines: null, sheet: null, view: null, seen: false, timer: 0, waiting: false};

/** Time for which a slider must rest before the view in space follows it, ms: without a graphics card it is slow. */
const REST = 150;

/** Prepare the view; where WebGL 2 is not available, say so instead. */
function startSpace() {
  const canvas = document.getElementById('space');
  const gl = canvas.getContext('webgl2', {antialias: true});
  if (gl === null) {
    refuseSpace('The view in space needs WebGL 2, which this browser does not have or has switched off. All else on this page works; `mmtjax export vtk` writes the grains for ParaView.');
    return;
  }
  SPACE.gl = gl;
  try {
    SPACE.boxes = boxProgram(gl);
    SPACE.arrows = arrowProgram(gl);
    SPACE.lines = lineProgram(gl);
    SPACE.sheet = sheetProgram(gl);
  } catch (error) {
    SPACE.gl = null;
    refuseSpace(`The view in space could not be prepared (${error.message}).`);
    return;
  }
  resetSpace();
  listenToSpace(canvas);
  new ResizeObserver(drawSpace).observe(canvas.parentElement);
  new IntersectionObserver((entries) => {
    SPACE.seen = entries[entries.length - 1].isIntersecting;
    if (SPACE.seen) paintSpace();
  }).observe(canvas);
  onChange('selection', () => {
    clearTimeout(SPACE.timer);
    SPACE.timer = setTimeout(paintSpace, REST);
  });
  onChange('picked', paintSpace);
  for (const id of ['arrows', 'sheet']) document.getElementById(id).addEventListener('change', drawSpace);
  for (const radio of document.querySelectorAll('input[name=paint]')) radio.addEventListener('change', paintSpace);
}

/** Say why there is no view in space. */
function refuseSpace(text) {
  document.getElementById('space').hidden = true;
  const message = document.getElementById('space-message');
  message.textContent = text;
  message.hidden = false;
}

/** The default view: the whole sample, seen from the south and above. */
function resetSpace() {
  const [x0, x1, y0, y1] = FACTS.maps.extent;
  const low = [x0, y0, 0], high = [x1, y1, 0];
  for (let b = 0; b < DATA.boxes.length / 6; b++) {
    for (let axis = 0; axis < 3; axis++) {
      low[axis] = Math.min(low[axis], unframed(DATA.boxes[6 * b + axis], axis));
      high[axis] = Math.max(high[axis], unframed(DATA.boxes[6 * b + 3 + axis], axis));
    }
  }
  SPACE.low = low;
  SPACE.high = high;
  SPACE.radius = Math.hypot(...high.map((value, axis) => value - low[axis])) / 2;
  const target = low.map((value, axis) => (value + high[axis]) / 2);
  SPACE.view = {azimuth: -0.55, elevation: 0.5, distance: SPACE.radius * 1.1, target};
  const {clientWidth, clientHeight} = document.getElementById('space').parentElement;
  const corners = Array.from({length: 8}, (_, i) => [0, 1, 2].map((axis) => i >> axis & 1 ? high[axis] : low[axis]));
  // As near as the whole sample is seen, in the middle of the height.
  for (let tries = 0; tries < 60; tries++) {
    const matrix = spaceMatrix({width: clientWidth || 1, height: clientHeight || 1});
    const places = corners.map(([x, y, z]) => {
      const [u, v, , w] = [0, 1, 2, 3].map((row) => matrix[row] * x + matrix[4 + row] * y + matrix[8 + row] * z + matrix[12 + row]);
      return [u / w, v / w, w];
    });
    const heights = places.map(([, v]) => v);
    const offset = (Math.min(...heights) + Math.max(...heights)) / 2;
    const {azimuth, elevation, distance} = SPACE.view;
    const up = [-Math.sin(azimuth) * Math.sin(elevation), Math.cos(azimuth) * Math.sin(elevation), Math.cos(elevation)];
    up.forEach((value, axis) => { target[axis] += value * offset * distance * Math.tan(0.35); });
    if (places.every(([u, v, w]) => w > 0 && Math.abs(u) < 0.95 && Math.abs(v - offset) < 0.95)) break;
    SPACE.view.distance *= 1.04;
  }
}

/** Colour of a grain, red, green, blue. */
function colourInSpace(g, paint, [low, high]) {
  if (g === STATE.picked) return [230, 159, 0];
  if (paint === 'magnetization') {
    // The darkest colours are left to the arrows.
    const share = Math.log(DATA.magnetization[g] / low) / Math.log(high / low);
    return viridis(0.15 + 0.85 * Math.min(Math.max(share, 0), 1));
  }
  if (STATE.mask[g]) return [0, 114, 178];
  return DATA.beyond_saturation[g] ? [213, 94, 0] : [190, 194, 201];
}

/** Work out colours and arrows again, and draw. */
function paintSpace() {
  const {gl, boxes, arrows, seen} = SPACE;
  if (!seen || STATE.mask === null) return;
  const paint = document.querySelector('input[name=paint]:checked').value;
  const known = DATA.magnetization.filter((value) => value > 0 && Number.isFinite(value)).sort();
  const at = (share) => known[Math.round(share * (known.length - 1))] ?? 1;
  // Beyond saturation, differences mean nothing.
  const highest = Math.min(at(0.98), FACTS.saturation);
  const range = [Math.min(at(0.02), highest / 1.01), highest];
  const colours = new Uint8Array(4 * boxes.count);
  DATA.box_owner.forEach((grain, b) => colours.set([...colourInSpace(grain, paint, range), 255], 4 * b));
  gl.bindBuffer(gl.ARRAY_BUFFER, boxes.colour);
  gl.bufferData(gl.ARRAY_BUFFER, colours, gl.DYNAMIC_DRAW);
  const shown = indicesWhere((g) => (STATE.mask[g] || g === STATE.picked) && DATA.magnetization[g] > 0);
  const instance = new ArrayBuffer(28 * shown.length);
  const [reals, bytes] = [new Float32Array(instance), new Uint8Array(instance)];
  shown.forEach((g, i) => {
    const size = Math.max(2.6 * DATA.diameter[g], SPACE.radius / 18);
    const way = ['mx', 'my', 'mz'].map((name) => DATA[name][g] / DATA.magnetization[g] * size);
    const place = [DATA.x[g], DATA.y[g], DATA.z[g]];
    reals.set([...place.map((value, axis) => value - way[axis] / 2), ...way], 7 * i);
    bytes.set(g === STATE.picked ? [230, 159, 0, 255] : [25, 28, 36, 255], 28 * i + 24);
  });
  gl.bindBuffer(gl.ARRAY_BUFFER, arrows.instance);
  gl.bufferData(gl.ARRAY_BUFFER, instance, gl.DYNAMIC_DRAW);
  arrows.count = shown.length;
  document.getElementById('space-legend').textContent = paint === 'magnetization'
    ? `Blue: ${digits(range[0] / 1e3, 2)} kA/m or less; yellow: ${digits(range[1] / 1e3, 2)} kA/m or more.`
    : 'Blue: selected; orange-red: beyond saturation; grey: not selected.';
  drawSpace();
}

/** Draw the view before the next frame of the screen. */
function drawSpace() {
  if (!SPACE.seen || SPACE.waiting) return;
  SPACE.waiting = true;
  requestAnimationFrame(() => {
    SPACE.waiting = false;
    renderSpace(false);
  });
}

/** The matrix from places in µm to a screen of some size. */
function spaceMatrix({width, height}) {
  const {distance} = SPACE.view;
  const aspect = width / height;
  const far = distance + 2 * SPACE.radius, near = Math.max(distance - 2 * SPACE.radius, far / 2000);
  return times(perspective(aspect < 1 ? 0.7 / aspect : 0.7, aspect, near, far), orbit(SPACE.view));
}

/** Draw the view now; with `numbers`, the grains in colours that are their indices plus one. */
function renderSpace(numbers) {
  const {gl, boxes, arrows, lines, sheet} = SPACE;
  const canvas = gl.canvas, place = canvas.parentElement;
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(place.clientWidth * scale), Math.round(place.clientHeight * scale)];
  if (width === 0 || height === 0) return;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  gl.viewport(0, 0, width, height);
  gl.clearColor(...(numbers ? [0, 0, 0, 0] : [0.975, 0.98, 0.985, 1]));
  gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
  gl.enable(gl.DEPTH_TEST);
  const matrix = spaceMatrix(canvas);
  const use = ({program, array}) => {
    gl.useProgram(program);
    gl.bindVertexArray(array);
    gl.uniformMatrix4fv(gl.getUniformLocation(program, 'matrix'), false, matrix);
  };
  use(boxes);
  gl.uniform4f(gl.getUniformLocation(boxes.program, 'frame'), ...FACTS.frame);
  gl.uniform1i(gl.getUniformLocation(boxes.program, 'numbers'), numbers ? 1 : 0);
  gl.drawArraysInstanced(gl.TRIANGLES, 0, 36, boxes.count);
  if (numbers) return;
  if (document.getElementById('arrows').checked && arrows.count > 0) {
    use(arrows);
    gl.drawArraysInstanced(gl.TRIANGLES, 0, arrows.corners, arrows.count);
  }
  if (document.getElementById('sheet').checked) {
    gl.enable(gl.BLEND);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    use(sheet);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    gl.disable(gl.BLEND);
  }
  use(lines);
  const corners = edgesOfSpace();
  gl.bindBuffer(gl.ARRAY_BUFFER, lines.buffer);
  gl.bufferData(gl.ARRAY_BUFFER, corners, gl.DYNAMIC_DRAW);
  gl.uniform4f(gl.getUniformLocation(lines.program, 'line'), 0.55, 0.58, 0.63, 1);
  gl.drawArrays(gl.LINES, 0, 24);
  // The frame of the picked grain is seen through all that lies before it.
  gl.disable(gl.DEPTH_TEST);
  gl.uniform4f(gl.getUniformLocation(lines.program, 'line'), 0.9, 0.45, 0, 1);
  gl.drawArrays(gl.LINES, 24, corners.length / 3 - 24);
}

/** Edges of the sample, and of a frame around the picked grain. */
function edgesOfSpace() {
  const corners = [];
  const box = (low, high) => {
    const at = (i) => [0, 1, 2].map((axis) => i >> axis & 1 ? high[axis] : low[axis]);
    for (let i = 0; i < 8; i++) for (let axis = 0; axis < 3; axis++) if (!(i >> axis & 1)) corners.push(...at(i), ...at(i | 1 << axis));
  };
  box(SPACE.low, SPACE.high);
  const g = STATE.picked;
  if (g >= 0) {
    const reach = Math.max(DATA.diameter[g], SPACE.radius / 50);
    const place = [DATA.x[g], DATA.y[g], DATA.z[g]];
    box(place.map((value) => value - reach), place.map((value) => value + reach));
  }
  return new Float32Array(corners);
}

/** The grain drawn at a place of the canvas, in pixels of the page; -1 for none. */
function grainInSpace(x, y) {
  const {gl} = SPACE;
  const scale = window.devicePixelRatio || 1;
  renderSpace(true);
  const pixel = new Uint8Array(4);
  gl.readPixels(Math.round(x * scale), gl.canvas.height - 1 - Math.round(y * scale), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  renderSpace(false);
  return pixel[0] + 256 * (pixel[1] + 256 * pixel[2]) - 1;
}

/** Turn the view, and move it nearer or farther. */
function moveSpace({turn = 0, raise = 0, zoom = 1}) {
  const {view} = SPACE;
  view.azimuth += turn;
  view.elevation = Math.min(Math.max(view.elevation + raise, -Math.PI / 2), Math.PI / 2);
  view.distance = Math.min(Math.max(view.distance * zoom, SPACE.radius / 20), SPACE.radius * 10);
  drawSpace();
}

/** Mouse, touch and keys. */
function listenToSpace(canvas) {
  let from = null, moved = false;
  canvas.addEventListener('pointerdown', (event) => {
    from = [event.clientX, event.clientY];
    moved = false;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (from === null) return;
    const [dx, dy] = [event.clientX - from[0], event.clientY - from[1]];
    if (!moved && Math.hypot(dx, dy) < 4) return;
    moved = true;
    from = [event.clientX, event.clientY];
    moveSpace({turn: -dx / 150, raise: dy / 150});
  });
  canvas.addEventListener('pointerup', (event) => {
    if (from !== null && !moved) pick(grainInSpace(event.offsetX, event.offsetY));
    from = null;
  });
  canvas.addEventListener('wheel', (event) => {
    // The wheel scrolls the page until the view has the focus.
    if (document.activeElement !== canvas) return;
    event.preventDefault();
    moveSpace({zoom: Math.exp(event.deltaY / 600)});
  }, {passive: false});
  const keys = {
    ArrowLeft: {turn: 0.1}, ArrowRight: {turn: -0.1}, ArrowUp: {raise: -0.1}, ArrowDown: {raise: 0.1},
    '+': {zoom: 0.85}, '=': {zoom: 0.85}, '-': {zoom: 1 / 0.85},
  };
  canvas.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === '0') { resetSpace(); drawSpace(); }
    else if (event.key in keys) moveSpace(keys[event.key]);
    else return;
    event.preventDefault();
  });
}
