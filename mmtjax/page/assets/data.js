// The facts and arrays of the page, decoded.

const FACTS = JSON.parse(document.getElementById('facts').textContent);

/** Arrays by name, once `loadArrays` is done. */
const DATA = {};

/** Decode the compressed arrays into DATA. */
async function loadArrays() {
  const text = atob(document.getElementById('arrays').textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate'));
  const buffer = await new Response(stream).arrayBuffer();
  const types = {Float64Array, Float32Array, Uint32Array, Uint16Array, Uint8Array};
  for (const [name, place] of Object.entries(FACTS.arrays)) {
    DATA[name] = new types[place.type](buffer, place.offset, place.length);
  }
  document.getElementById('arrays').remove();
}

/** Work out what follows from the magnetization and the volume of each grain. */
function deriveColumns() {
  const {mx, my, mz, volume} = DATA;
  for (const name of ['magnetization', 'moment', 'declination', 'inclination', 'diameter', 'ratio']) {
    DATA[name] = new Float64Array(FACTS.count);
  }
  DATA.beyond_saturation = new Uint8Array(FACTS.count);
  for (let g = 0; g < FACTS.count; g++) {
    const {length, declination, inclination} = directionOf([mx[g], my[g], mz[g]]);
    DATA.magnetization[g] = length;
    DATA.moment[g] = MOMENT_UNIT * volume[g] * length;
    DATA.declination[g] = declination;
    DATA.inclination[g] = inclination;
    DATA.diameter[g] = Math.cbrt(6 * volume[g] / Math.PI);
    DATA.beyond_saturation[g] = length > FACTS.saturation ? 1 : 0;
    // The ratio that is compared with a limit is widened by √χ².
    DATA.ratio[g] = DATA.uncertainty_ratio[g] * FACTS.widening;
  }
}

/** Whole numbers from their four planes of bytes, the sign in the lowest bit. */
function wholeNumbers(planes) {
  const count = planes.length / 4;
  const values = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const folded = planes[i] + 256 * (planes[count + i] + 256 * (planes[2 * count + i] + 256 * planes[3 * count + i]));
    values[i] = folded % 2 ? -(folded + 1) / 2 : folded / 2;
  }
  return values;
}

/** The maps in nT, NaN where a sensor is not used. */
function decodeMaps() {
  const {forward_step, residual_step} = FACTS.maps;
  const steps = wholeNumbers(DATA.forward);
  const left = wholeNumbers(DATA.residual);
  const forward = new Float32Array(steps.length);
  const residual = new Float32Array(steps.length);
  const measured = new Float32Array(steps.length);
  let sum = 0;
  for (let i = 0; i < steps.length; i++) {
    sum += steps[i];
    const used = DATA.mask[i >> 3] >> (i & 7) & 1;
    forward[i] = used ? sum * forward_step : NaN;
    residual[i] = used ? left[i] * residual_step : NaN;
    measured[i] = forward[i] + residual[i];
  }
  return {measured, forward, residual};
}

/** Where the elements of each grain begin in an array ordered by owner, and where the last end. */
function startsOf(owner, count) {
  const starts = new Uint32Array(count + 1);
  for (const grain of owner) starts[grain + 1]++;
  for (let i = 0; i < count; i++) starts[i + 1] += starts[i];
  return starts;
}

/** Place on an axis (0, 1, 2) from a whole number of the frame, µm. */
function unframed(whole, axis) {
  return FACTS.frame[axis] + whole / 65535 * FACTS.frame[3];
}

/** Text of a number with some significant digits. */
function digits(value, count = 3) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? '–' : '∞';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(count - 1).split('e');
    return `${mantissa.replace('-', '−')} × ${powerOfTen(Number(exponent))}`;
  }
  return value.toLocaleString('en', {maximumSignificantDigits: count, useGrouping: false}).replace('-', '−');
}

/** Text of a power of ten. */
function powerOfTen(exponent) {
  return `10${[...String(exponent)].map((one) => one === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[one]).join('')}`;
}

/** Text of a number with its standard deviation, of which two digits are given, both over a power of ten. */
function withSpread(value, deviation, exponent) {
  const scale = 10 ** exponent;
  const known = deviation > 0 && Number.isFinite(deviation);
  const places = known ? Math.min(Math.max(1 - Math.floor(Math.log10(deviation / scale)), 0), 7) : 3;
  const text = (one) => Number.isFinite(one) ? (one / scale).toFixed(places).replace('-', '−') : '–';
  return `${text(value)} ± ${text(deviation)}`;
}

/** Text of a share in percent. */
function percent(share, count = 3) {
  return `${digits(100 * share, count)} %`;
}
