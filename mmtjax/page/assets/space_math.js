// Matrices of four by four, by columns, and the meshes of the view in space.

/** Product of two matrices. */
function times(a, b) {
  const out = new Float32Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      let sum = 0;
      for (let k = 0; k < 4; k++) sum += a[4 * k + row] * b[4 * column + k];
      out[4 * column + row] = sum;
    }
  }
  return out;
}

/** Perspective with a vertical angle of view, radians. */
function perspective(angle, aspect, near, far) {
  const f = 1 / Math.tan(angle / 2);
  const depth = near - far;
  return new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / depth, -1, 0, 0, 2 * far * near / depth, 0]);
}

/** View of a target from a distance, turned by an azimuth about z and raised by an elevation, radians; z is up. */
function orbit({azimuth, elevation, distance, target}) {
  const [ca, sa, ce, se] = [Math.cos(azimuth), Math.sin(azimuth), Math.cos(elevation), Math.sin(elevation)];
  const right = [ca, sa, 0], up = [-sa * se, ca * se, ce], back = [sa * ce, -ca * ce, se];
  const along = (axis) => axis[0] * target[0] + axis[1] * target[1] + axis[2] * target[2];
  return new Float32Array([
    right[0], up[0], back[0], 0, right[1], up[1], back[1], 0, right[2], up[2], back[2], 0,
    -along(right), -along(up), -along(back) - distance, 1,
  ]);
}

/** Corners and normals of the triangles of a cube from 0 to 1: x, y, z, and the normal, of 36 corners. */
function cubeMesh() {
  const out = [];
  for (let axis = 0; axis < 3; axis++) {
    for (const side of [0, 1]) {
      const [u, v] = [(axis + 1) % 3, (axis + 2) % 3];
      const corner = (a, b) => {
        const place = [0, 0, 0];
        [place[axis], place[u], place[v]] = [side, a, b];
        const normal = [0, 0, 0];
        normal[axis] = side ? 1 : -1;
        out.push(...place, ...normal);
      };
      for (const [a, b] of [[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]]) corner(a, b);
    }
  }
  return new Float32Array(out);
}

/** An arrow along z from 0 to 1, as corners and normals of its triangles. */
function arrowMesh(sides = 10) {
  const out = [];
  const [thin, wide, neck] = [0.045, 0.13, 0.66];
  for (let i = 0; i < sides; i++) {
    const [a, b] = [2 * Math.PI * i / sides, 2 * Math.PI * (i + 1) / sides];
    const at = (angle, radius, z) => [radius * Math.cos(angle), radius * Math.sin(angle), z];
    const out3 = (place, angle, z) => out.push(...place, ...at(angle, 1, z));
    for (const [angle, z] of [[a, 0], [b, 0], [b, neck], [a, 0], [b, neck], [a, neck]]) out3(at(angle, thin, z), angle, 0);
    out3(at(a, wide, neck), a, 0.4);
    out3(at(b, wide, neck), b, 0.4);
    out3(at((a + b) / 2, 0, 1), (a + b) / 2, 0.4);
    for (const place of [at(b, wide, neck), at(a, wide, neck), at(a, 0, neck)]) out.push(...place, 0, 0, -1);
    for (const place of [at(b, thin, 0), at(a, thin, 0), at(a, 0, 0)]) out.push(...place, 0, 0, -1);
  }
  return new Float32Array(out);
}

/** Colour of the palette viridis at a share from 0 to 1, as red, green, blue from 0 to 255. */
function viridis(share) {
  const colours = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129],
    [92, 200, 99], [170, 220, 50], [253, 231, 37]];
  const place = Math.min(Math.max(share, 0), 1) * (colours.length - 1);
  const i = Math.min(Math.floor(place), colours.length - 2);
  return colours[i].map((value, k) => Math.round(value + (place - i) * (colours[i + 1][k] - value)));
}
