// Programs of WebGL 2 for the view in space: grains, arrows, edges, and the map as a sheet.

const BOX_VERTEX = `#version 300 es
layout(location=0) in vec3 corner; layout(location=1) in vec3 normal;
layout(location=2) in vec3 low; layout(location=3) in vec3 high; layout(location=4) in vec4 colour;
layout(location=5) in vec4 number;
uniform mat4 matrix; uniform vec4 frame; uniform bool numbers;
out vec4 tint;
void main() {
  vec3 place = frame.xyz + frame.w * mix(low, high, corner);
  float light = 0.62 + 0.38 * max(dot(normal, normalize(vec3(0.35, -0.45, 0.8))), 0.0) + 0.08 * normal.z;
  tint = numbers ? number : vec4(colour.rgb * light, 1.0);
  gl_Position = matrix * vec4(place, 1.0);
}`;
const ARROW_VERTEX = `#version 300 es
layout(location=0) in vec3 corner; layout(location=1) in vec3 normal;
layout(location=2) in vec3 tail; layout(location=3) in vec3 way; layout(location=4) in vec4 colour;
uniform mat4 matrix;
out vec4 tint;
void main() {
  float size = length(way);
  vec3 z = way / size;
  vec3 x = normalize(cross(abs(z.z) < 0.9 ? vec3(0, 0, 1) : vec3(1, 0, 0), z));
  vec3 y = cross(z, x);
  mat3 turn = mat3(x, y, z);
  float light = 0.7 + 0.3 * max(dot(normalize(turn * normal), normalize(vec3(0.35, -0.45, 0.8))), 0.0);
  tint = vec4(colour.rgb * light, 1.0);
  gl_Position = matrix * vec4(tail + turn * corner * size, 1.0);
}`;
const LINE_VERTEX = `#version 300 es
layout(location=0) in vec3 corner; uniform mat4 matrix; uniform vec4 line; out vec4 tint;
void main() { tint = line; gl_Position = matrix * vec4(corner, 1.0); }`;
const TINT_FRAGMENT = `#version 300 es
precision mediump float; in vec4 tint; out vec4 colour; void main() { colour = tint; }`;
const SHEET_VERTEX = `#version 300 es
layout(location=0) in vec3 corner; layout(location=1) in vec2 place; uniform mat4 matrix; out vec2 at;
void main() { at = place; gl_Position = matrix * vec4(corner, 1.0); }`;
const SHEET_FRAGMENT = `#version 300 es
precision mediump float; in vec2 at; uniform sampler2D map; out vec4 colour;
void main() { vec4 seen = texture(map, at); colour = vec4(seen.rgb, seen.a); }`;

function compile(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || 'WebGL failed');
  return program;
}

/** Attach an array to attributes; `step` 1 for one value per instance. */
function attach(gl, data, parts, step = 0) {
  const buffer = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.DYNAMIC_DRAW);
  for (const {place, size, type, norm = false, stride, offset = 0} of parts) {
    gl.enableVertexAttribArray(place);
    gl.vertexAttribPointer(place, size, type, norm, stride, offset);
    gl.vertexAttribDivisor(place, step);
  }
  return buffer;
}

const MESH = (gl) => [
  {place: 0, size: 3, type: gl.FLOAT, stride: 24}, {place: 1, size: 3, type: gl.FLOAT, stride: 24, offset: 12},
];

function boxProgram(gl) {
  const program = compile(gl, BOX_VERTEX, TINT_FRAGMENT);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  attach(gl, cubeMesh(), MESH(gl));
  attach(gl, DATA.boxes, [
    {place: 2, size: 3, type: gl.UNSIGNED_SHORT, norm: true, stride: 12},
    {place: 3, size: 3, type: gl.UNSIGNED_SHORT, norm: true, stride: 12, offset: 6},
  ], 1);
  const count = DATA.box_owner.length;
  const bytes = (place) => [{place, size: 4, type: gl.UNSIGNED_BYTE, norm: true, stride: 4}];
  const colour = attach(gl, new Uint8Array(4 * count), bytes(4), 1);
  const numbers = new Uint8Array(4 * count);
  DATA.box_owner.forEach((grain, b) => {
    numbers.set([grain + 1 & 255, grain + 1 >> 8 & 255, grain + 1 >> 16 & 255, 255], 4 * b);
  });
  attach(gl, numbers, bytes(5), 1);
  return {program, array, count, colour};
}

function arrowProgram(gl) {
  const program = compile(gl, ARROW_VERTEX, TINT_FRAGMENT);
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const mesh = arrowMesh(FACTS.count > 1000 ? 5 : 10);
  attach(gl, mesh, MESH(gl));
  const instance = attach(gl, new Float32Array(0), [
    {place: 2, size: 3, type: gl.FLOAT, stride: 28}, {place: 3, size: 3, type: gl.FLOAT, stride: 28, offset: 12},
    {place: 4, size: 4, type: gl.UNSIGNED_BYTE, norm: true, stride: 28, offset: 24},
  ], 1);
  return {program, array, instance, corners: mesh.length / 6, count: 0};
}

function lineProgram(gl) {
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const buffer = attach(gl, new Float32Array(0), [{place: 0, size: 3, type: gl.FLOAT, stride: 12}]);
  return {program: compile(gl, LINE_VERTEX, TINT_FRAGMENT), array, buffer};
}

function sheetProgram(gl) {
  const [ny, nx] = FACTS.maps.shape;
  const [x0, x1, y0, y1] = FACTS.maps.extent;
  const array = gl.createVertexArray();
  gl.bindVertexArray(array);
  const corners = [[x0, y0, 0, 0], [x1, y0, 1, 0], [x0, y1, 0, 1], [x1, y1, 1, 1]];
  attach(gl, new Float32Array(corners.flatMap(([x, y, u, v]) => [x, y, 0, u, v])), [
    {place: 0, size: 3, type: gl.FLOAT, stride: 20}, {place: 1, size: 2, type: gl.FLOAT, stride: 20, offset: 12},
  ]);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  const pixels = new Uint8Array(4 * nx * ny);
  const palette = PLOTS.map.document.get_model_by_name('colours').palette.map(
    (one) => [1, 3, 5].map((i) => parseInt(String(one).slice(i, i + 2), 16)));
  const strongest = FACTS.maps.strongest[0];
  MAPS.measured.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const share = Math.min(Math.max(value / strongest, -1), 1);
    // Weak fields are clear, so that the grains below are seen.
    pixels.set([...palette[Math.round((share + 1) / 2 * (palette.length - 1))], 40 + 190 * Math.sqrt(Math.abs(share))], 4 * i);
  });
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, nx, ny, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  for (const [what, how] of [[gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
    [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]]) gl.texParameteri(gl.TEXTURE_2D, what, how);
  return {program: compile(gl, SHEET_VERTEX, SHEET_FRAGMENT), array, texture};
}
