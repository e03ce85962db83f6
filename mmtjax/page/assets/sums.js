// Counts and sums over a selection of grains, with their covariance.

/** A m² of one A/m over one µm³. */
const MOMENT_UNIT = 1e-18;

/** Place of the element (row, column) of a symmetric matrix among its upper elements, row by row. */
function upperPlace(row, column, size) {
  const [i, j] = row <= column ? [row, column] : [column, row];
  return i * size - i * (i - 1) / 2 + j - i;
}

/** Sum of the moments of the grains of a mask, A m². */
function sumOfMoments(mask) {
  const total = [0, 0, 0];
  for (let g = 0; g < FACTS.count; g++) {
    if (!mask[g]) continue;
    const size = MOMENT_UNIT * DATA.volume[g];
    total[0] += size * DATA.mx[g];
    total[1] += size * DATA.my[g];
    total[2] += size * DATA.mz[g];
  }
  return total;
}

/** Covariance xx, xy, xz, yy, yz, zz if the errors of different grains were independent, (A m²)². */
function separateCovariance(mask) {
  const total = [0, 0, 0, 0, 0, 0];
  for (let g = 0; g < FACTS.count; g++) {
    if (!mask[g]) continue;
    const size = (MOMENT_UNIT * DATA.volume[g]) ** 2;
    for (let k = 0; k < 6; k++) total[k] += size * DATA.covariance[6 * g + k];
  }
  return total;
}

/** Covariance from the covariance of all grains. */
function jointCovariance(mask) {
  const size = 3 * FACTS.count;
  const chosen = [];
  for (let g = 0; g < FACTS.count; g++) if (mask[g]) chosen.push(g);
  const total = [0, 0, 0, 0, 0, 0];
  for (const one of chosen) {
    for (const other of chosen) {
      const scale = MOMENT_UNIT ** 2 * DATA.volume[one] * DATA.volume[other];
      let k = 0;
      for (let i = 0; i < 3; i++) {
        for (let j = i; j < 3; j++) {
          total[k++] += scale * DATA.joint_covariance[upperPlace(3 * one + i, 3 * other + j, size)];
        }
      }
    }
  }
  return total;
}

/** Interval of ascending nodes that holds a value, and the share of it below the value, on a logarithmic scale. */
function intervalOf(nodes, value) {
  const last = nodes.length - 1;
  if (!(value > nodes[0]) || last === 0) return [0, 0];
  if (value >= nodes[last]) return [last, 0];
  let i = 0;
  while (value >= nodes[i + 1]) i++;
  return [i, Math.log(value / nodes[i]) / Math.log(nodes[i + 1] / nodes[i])];
}

/** Lower triangular L with L Lᵀ = a symmetric matrix; null unless it is positive. */
function triangle([xx, xy, xz, yy, yz, zz]) {
  const a = Math.sqrt(xx), b = xy / a, c = xz / a;
  const d = Math.sqrt(yy - b * b), e = (yz - b * c) / d;
  const f = Math.sqrt(zz - c * c - e * e);
  return [a, d, f].every((value) => value > 0 && Number.isFinite(value)) ? [[a, 0, 0], [b, d, 0], [c, e, f]] : null;
}

/** Product M C Mᵀ of a lower triangular matrix M and a symmetric matrix C. */
function transformed(m, [xx, xy, xz, yy, yz, zz]) {
  const full = [[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]];
  const entry = (i, j) => {
    let sum = 0;
    for (let k = 0; k <= i; k++) for (let l = 0; l <= j; l++) sum += m[i][k] * full[k][l] * m[j][l];
    return sum;
  };
  return [entry(0, 0), entry(0, 1), entry(0, 2), entry(1, 1), entry(1, 2), entry(2, 2)];
}

/** Inverse of a lower triangular matrix. */
function inverted([[a], [b, d], [c, e, f]]) {
  return [[1 / a, 0, 0], [-b / (a * d), 1 / d, 0], [(b * e - c * d) / (a * d * f), -e / (d * f), 1 / f]];
}

/**
 * Covariance of the sum of the grains within thresholds, and whether it is `exact`: computed for the same grains.
 *
 * Between them, the covariance that independent errors would give is known, L Lᵀ. What is interpolated is L⁻¹ C L⁻ᵀ,
 * which tells how much the covariance between grains adds; so the result is positive, and follows steps of the sum.
 */
function thresholdCovariance({ssr, ratio, saturated, mask}) {
  const rows = DATA.ssr_threshold;
  const columns = DATA.ratio_threshold;
  const [i, p] = intervalOf(rows, ssr);
  const [j, q] = intervalOf(columns, ratio);
  const computed = (row, column) => {
    const first = 6 * (((saturated ? 1 : 0) * rows.length + row) * columns.length + column);
    return DATA.sum_covariance.subarray(first, first + 6);
  };
  const here = separateCovariance(mask);
  const own = triangle(here);
  const mean = [0, 0, 0, 0, 0, 0];
  let weight = 0;
  for (const [row, u] of [[i, 1 - p], [i + 1, p]]) {
    for (const [column, v] of [[j, 1 - q], [j + 1, q]]) {
      if (u * v === 0) continue;
      const low = row === 0 ? 0 : rows[row], high = column === columns.length - 1 ? Infinity : columns[column];
      const members = maskWithin(low, high, saturated);
      if (members.every((one, g) => one === mask[g])) return {values: Array.from(computed(row, column)), exact: true};
      const separate = triangle(separateCovariance(members));
      if (separate === null) continue;
      const share = transformed(inverted(separate), computed(row, column));
      for (let k = 0; k < 6; k++) mean[k] += u * v * share[k];
      weight += u * v;
    }
  }
  if (own === null || weight === 0) return {values: here, exact: false};
  return {values: transformed(own, mean.map((value) => value / weight)), exact: false};
}

/** Sum over the selection of a state, its covariance widened by χ² where that exceeds one, and how it is known. */
function selectionSum(state) {
  const sum = sumOfMoments(state.mask);
  let covariance, note;
  if (FACTS.covariances === 'joint') {
    covariance = jointCovariance(state.mask);
    note = 'with the covariance between grains';
  } else if (FACTS.covariances === 'thresholds' && !state.lasso) {
    const found = thresholdCovariance(state);
    covariance = found.values;
    note = found.exact ? 'with the covariance between grains'
      : 'with the covariance between grains, interpolated between thresholds at which it was computed';
  } else {
    covariance = separateCovariance(state.mask);
    note = FACTS.covariances === 'deviations'
      ? 'without covariances, which these results do not hold: treat the errors as a guess'
      : 'as if the errors of different grains were independent, for their covariance is not known here';
  }
  const widened = covariance.map((value) => value * FACTS.widening ** 2);
  if (FACTS.widening >= FACTS.notable_widening) note += `; widened by √χ² = ${digits(FACTS.widening)}`;
  return {sum, covariance: widened, note};
}

/** Length and direction of a vector with z up: declination clockwise from +y, inclination positive down, degrees. */
function directionOf([x, y, z]) {
  const turn = 180 / Math.PI;
  return {
    length: Math.hypot(x, y, z),
    declination: (Math.atan2(x, y) * turn + 360) % 360,
    inclination: Math.atan2(-z, Math.hypot(x, y)) * turn,
  };
}

/** Standard deviations of the length of a vector, and of its direction in degrees, from its covariance. */
function spreadOf(vector, [xx, xy, xz, yy, yz, zz]) {
  const length = Math.hypot(...vector);
  if (length === 0) return {length: NaN, angle: NaN};
  const [x, y, z] = vector.map((value) => value / length);
  const along = x * x * xx + y * y * yy + z * z * zz + 2 * (x * y * xy + x * z * xz + y * z * yz);
  const across = Math.max(xx + yy + zz - along, 0) / 2;
  return {length: Math.sqrt(Math.max(along, 0)), angle: Math.atan2(Math.sqrt(across), length) * 180 / Math.PI};
}
