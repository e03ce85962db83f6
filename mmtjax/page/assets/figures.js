// The figures of Bokeh: their data, their ranges, and what mouse events on them do.

const PLOTS = {};
let VIEWS = {};
let GRAINS, PICKED, MAPS, segmentStarts;

/** Distance from the mouse within which a grain is picked, pixels. */
const REACH = 14;

/** Draw the figures; the promise ends when they are on the page. */
async function drawFigures() {
  const {document: described, roots} = FACTS.figures;
  for (const name of Object.keys(roots)) document.getElementById(name).dataset.root = roots[name];
  const places = Object.fromEntries(Object.entries(roots).map(([name, root]) => [root, name]));
  const item = {docid: 'page', roots: places, root_ids: Object.values(roots)};
  const [managed] = await Bokeh.embed.embed_items({page: described}, [item]);
  const bokeh = Bokeh.documents[Bokeh.documents.length - 1];
  for (const view of managed.roots ?? managed) VIEWS[view.model.name] = view;
  for (const name of Object.keys(roots)) PLOTS[name] = bokeh.get_model_by_name(name);
  GRAINS = bokeh.get_model_by_name('grains');
  PICKED = bokeh.get_model_by_name('picked');
  return bokeh;
}

/** Outlines of a grain as x and y with NaN between segments. */
function outlineOf(g) {
  const x = [], y = [];
  for (let s = segmentStarts[g]; s < segmentStarts[g + 1]; s++) {
    x.push(unframed(DATA.segments[4 * s], 0), unframed(DATA.segments[4 * s + 2], 0), NaN);
    y.push(unframed(DATA.segments[4 * s + 1], 1), unframed(DATA.segments[4 * s + 3], 1), NaN);
  }
  return [x, y];
}

/** Columns of the grains. */
function grainColumns() {
  const net_x = new Float64Array(FACTS.count), net_y = new Float64Array(FACTS.count);
  const outline_x = [], outline_y = [];
  for (let g = 0; g < FACTS.count; g++) {
    [net_x[g], net_y[g]] = onNet([DATA.mx[g], DATA.my[g], DATA.mz[g]]);
    const [x, y] = outlineOf(g);
    outline_x.push(x);
    outline_y.push(y);
  }
  return {
    x: DATA.x, y: DATA.y, strength: DATA.signal_strength_ratio, ratio: DATA.ratio, volume: DATA.volume,
    moment: DATA.moment, net_x, net_y, outline_x, outline_y,
  };
}

/** Place of a direction on the equal-area net of radius one. */
function onNet([x, y, z]) {
  const across = Math.hypot(x, y), length = Math.hypot(across, z);
  if (length === 0) return [NaN, NaN];
  const radius = Math.sqrt(1 - Math.abs(z) / length);
  return across === 0 ? [0, 0] : [radius * x / across, radius * y / across];
}

/** Fill the figures with data. */
function fillFigures(bokeh) {
  segmentStarts = startsOf(DATA.segment_owner, FACTS.count);
  MAPS = decodeMaps();
  GRAINS.data = grainColumns();
  setRange('strength', logRange(DATA.signal_strength_ratio), logRange(DATA.ratio));
  setRange('moment', logRange(DATA.volume), logRange(DATA.moment));
  showMap(bokeh, 'measured');
  onChange('selection', () => {
    showSelection(bokeh);
  });
  onChange('picked', showPicked);
  const handlers = {
    tap: (event, name) => pick(grainAt(name, event.x, event.y)),
    selectiongeometry: (event, name) => lassoed(event, name),
    mousemove: (event, name) => name === 'map' && readMap(event.x, event.y),
    mouseleave: (event, name) => name === 'map' && readMap(NaN, NaN),
    reset: (event, name) => { if (name === 'map') fitMap(); },
  };
  for (const [kind, handler] of Object.entries(handlers)) {
    bokeh.on_event(kind, (_, event) => {
      const name = event.origin?.name;
      if (name in PLOTS) handler(event, name);
    });
  }
  fitWhenResized('map', fitMap);
  fitWhenResized('net', fitNet);
}

/** Range of a logarithmic axis with margins around the positive finite values. */
function logRange(values) {
  let low = Infinity, high = 0;
  for (const value of values) {
    if (value > 0 && Number.isFinite(value)) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  if (high === 0) return [0.1, 10];
  const margin = Math.max(1.35, (high / low) ** 0.06);
  return [low / margin, high * margin];
}

/** Set the ranges of a figure, also as those to which its tool resets. */
function setRange(name, [x0, x1], [y0, y1]) {
  PLOTS[name].x_range.setv({start: x0, end: x1, reset_start: x0, reset_end: x1});
  PLOTS[name].y_range.setv({start: y0, end: y1, reset_start: y0, reset_end: y1});
}

/** Call a function when the frame of a figure has got its size, and again whenever it has changed. */
function fitWhenResized(name, fit) {
  let last = '';
  const check = () => {
    const {width, height} = VIEWS[name].frame.bbox;
    if (width > 0 && `${width} ${height}` !== last) {
      last = `${width} ${height}`;
      fit();
    }
  };
  new ResizeObserver(() => { check(); requestAnimationFrame(() => requestAnimationFrame(check)); })
    .observe(document.getElementById(name));
  VIEWS[name].model.properties.inner_width.change.connect(check);
  VIEWS[name].model.properties.inner_height.change.connect(check);
  check();
}

/** Show a part of the plane in a figure with equal scales, which holds the given ends. */
function fitEqual(name, [x0, x1, y0, y1]) {
  const {width, height} = VIEWS[name].frame.bbox;
  const scale = Math.max((x1 - x0) / width, (y1 - y0) / height) / 2;
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  setRange(name, [x - scale * width, x + scale * width], [y - scale * height, y + scale * height]);
}

function fitMap() {
  fitEqual('map', FACTS.maps.extent);
}

/** The net as large as its labels let it be: 36 pixels beside it, 20 above and below. */
function fitNet() {
  const {width, height} = VIEWS.net.frame.bbox;
  const radius = Math.max(Math.min(width / 2 - 36, height / 2 - 20), 10);
  setRange('net', [-width / 2 / radius, width / 2 / radius], [-height / 2 / radius, height / 2 / radius]);
}

/** Show one of the maps. */
function showMap(bokeh, which) {
  const [ny, nx] = FACTS.maps.shape;
  const [x0, x1, y0, y1] = FACTS.maps.extent;
  const strongest = FACTS.maps.strongest[which === 'residual' ? 1 : 0];
  const [unit, factor] = strongest >= 1e4 ? ['µT', 1e-3] : ['nT', 1];
  const {ndarray} = Bokeh.require('core/util/ndarray');
  const values = MAPS[which].map((value) => value * factor);
  bokeh.get_model_by_name('colours').setv({low: -strongest * factor, high: strongest * factor});
  document.getElementById('map-unit').textContent = unit;
  bokeh.get_model_by_name('image').data = {
    image: [ndarray(values, {dtype: 'float32', shape: [ny, nx]})], x: [x0], y: [y0], dw: [x1 - x0], dh: [y1 - y0],
  };
}

/** Show which grains are selected. */
function showSelection(bokeh) {
  const {mask} = STATE;
  const indices = {
    chosen: indicesWhere((g) => mask[g]),
    chosen_down: indicesWhere((g) => mask[g] && DATA.mz[g] <= 0),
    chosen_up: indicesWhere((g) => mask[g] && DATA.mz[g] > 0),
    beyond: indicesWhere((g) => !mask[g] && DATA.beyond_saturation[g]),
    other: indicesWhere((g) => !mask[g] && !DATA.beyond_saturation[g]),
  };
  for (const [kind, found] of Object.entries(indices)) bokeh.get_model_by_name(`filter_${kind}`).indices = found;
  const lines = {ssr_line: STATE.ssr === 0 ? null : STATE.ssr, ratio_line: STATE.ratio === Infinity ? null : STATE.ratio};
  for (const [name, location] of Object.entries(lines)) {
    bokeh.get_model_by_name(name).location = location;
  }
  const sum = sumOfMoments(mask);
  const [x, y] = onNet(sum);
  bokeh.get_model_by_name('total').data = {
    x: [x], y: [y], colour: [sum[2] > 0 ? 'white' : '#D55E00'],
  };
}

/** Ring the picked grain in all figures, and move their ranges where it lies outside. */
function showPicked() {
  const g = STATE.picked;
  const data = {};
  for (const [name, values] of Object.entries(GRAINS.data)) data[name] = g < 0 ? [] : [values[g]];
  PICKED.data = data;
  if (g < 0) return;
  bringIntoView('map', DATA.x[g], DATA.y[g]);
  bringIntoView('strength', DATA.signal_strength_ratio[g], DATA.ratio[g], true);
  bringIntoView('moment', DATA.volume[g], DATA.moment[g], true);
}

/** Move the ranges of a figure so that a point lies in it. */
function bringIntoView(name, x, y, logarithmic = false) {
  for (const [range, value] of [[PLOTS[name].x_range, x], [PLOTS[name].y_range, y]]) {
    if (!Number.isFinite(value) || (logarithmic && !(value > 0))) continue;
    const [low, high] = [Math.min(range.start, range.end), Math.max(range.start, range.end)];
    if (value >= low && value <= high) continue;
    if (logarithmic) {
      const half = Math.sqrt(high / low);
      range.setv({start: value / half, end: value * half});
    } else {
      const half = (high - low) / 2;
      range.setv({start: value - half, end: value + half});
    }
  }
}

/** Columns of the places of the grains in a figure. */
function placesIn(name) {
  const {data} = GRAINS;
  return {
    map: [data.x, data.y], strength: [data.strength, data.ratio], moment: [data.volume, data.moment],
    net: [data.net_x, data.net_y],
  }[name];
}

/** Grain at a place of a figure: on the map the smallest that contains it, else the nearest within reach; -1 if none. */
function grainAt(name, x, y) {
  if (name === 'map') {
    const inside = grainBelow(x, y);
    if (inside >= 0) return inside;
  }
  const {x_scale, y_scale} = VIEWS[name].frame;
  const [xs, ys] = placesIn(name);
  const [sx, sy] = [x_scale.compute(x), y_scale.compute(y)];
  let best = -1, nearest = REACH;
  for (let g = 0; g < FACTS.count; g++) {
    // Selected grains are drawn above others, and are picked first.
    const distance = Math.hypot(x_scale.compute(xs[g]) - sx, y_scale.compute(ys[g]) - sy) + (STATE.mask[g] ? 0 : 3);
    if (distance < nearest) [best, nearest] = [g, distance];
  }
  return best;
}

/** The smallest grain whose outline contains a place of the map; -1 if none does. */
function grainBelow(x, y) {
  let best = -1;
  for (let g = 0; g < FACTS.count; g++) {
    if (best >= 0 && DATA.volume[g] >= DATA.volume[best]) continue;
    let crossings = 0;
    for (let s = segmentStarts[g]; s < segmentStarts[g + 1]; s++) {
      if (DATA.segments[4 * s] !== DATA.segments[4 * s + 2]) continue;
      const [y0, y1] = [unframed(DATA.segments[4 * s + 1], 1), unframed(DATA.segments[4 * s + 3], 1)];
      if ((y0 > y) !== (y1 > y) && unframed(DATA.segments[4 * s], 0) > x) crossings++;
    }
    if (crossings % 2) best = g;
  }
  return best;
}

/** Say what lies under the mouse on the map. */
function readMap(x, y) {
  const [ny, nx] = FACTS.maps.shape;
  const [x0, x1, y0, y1] = FACTS.maps.extent;
  const column = Math.floor((x - x0) / (x1 - x0) * nx), row = Math.floor((y - y0) / (y1 - y0) * ny);
  const readout = document.getElementById('map-readout');
  if (!(column >= 0 && column < nx && row >= 0 && row < ny)) {
    readout.textContent = mapNote();
    return;
  }
  const which = document.querySelector('input[name=map]:checked').value;
  const grain = grainBelow(x, y);
  readout.textContent = `x ${x.toFixed(1)}, y ${y.toFixed(1)} µm: ${digits(MAPS[which][row * nx + column], 4)} nT`
    + (grain < 0 ? '' : `, grain ${FACTS.ids[grain]}`);
}

/** What is to be known about the maps. */
function mapNote() {
  const {block, residual_step, shape: [ny, nx]} = FACTS.maps;
  return block > 1 ? `Means of ${block} × ${block} sensors, ${nx} × ${ny} of them.`
    : `${nx} × ${ny} sensors, rounded to ${digits(residual_step, 2)} nT; bold: selected.`;
}

/** Select the grains within a lasso. */
function lassoed(event, name) {
  if (!event.final || event.geometry.type !== 'poly') return;
  const {x_scale, y_scale} = VIEWS[name].frame;
  const corners = Array.from(event.geometry.sx, (sx, i) => [sx, event.geometry.sy[i]]);
  const [xs, ys] = placesIn(name);
  const lasso = new Uint8Array(FACTS.count);
  for (let g = 0; g < FACTS.count; g++) {
    lasso[g] = contains(corners, x_scale.compute(xs[g]), y_scale.compute(ys[g])) ? 1 : 0;
  }
  select({lasso});
}

/** Whether a polygon contains a point. */
function contains(corners, x, y) {
  let inside = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[x1, y1], [x2, y2]] = [corners[i], corners[j]];
    if ((y1 > y) !== (y2 > y) && x < (x2 - x1) * (y - y1) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}
