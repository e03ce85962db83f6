// What is selected and picked, and who is told of changes.

const STATE = {
  ssr: 0,            // smallest SSR, µm⁻¹; 0 for none
  ratio: Infinity,   // largest ratio, as a fraction; Infinity for none
  saturated: false,  // whether grains beyond saturation may be selected
  lasso: null,       // mask of the grains in a lasso or of a list; null for none
  picked: -1,        // index of the picked grain
  mask: null,        // whether each grain is selected
};

const LISTENERS = {selection: [], picked: []};

/** Call a function when the selection or the picked grain changes. */
function onChange(what, listener) {
  LISTENERS[what].push(listener);
}

/** Whether a grain is within a limit of the ratio. */
function withinRatio(g, limit, saturated) {
  return (saturated || !DATA.beyond_saturation[g]) && (limit === Infinity || DATA.ratio[g] <= limit);
}

/** Which grains lie within thresholds: 0 for no SSR, Infinity for no limit of the ratio. */
function maskWithin(ssr, ratio, saturated) {
  const mask = new Uint8Array(FACTS.count);
  for (let g = 0; g < FACTS.count; g++) {
    const strong = ssr === 0 || DATA.signal_strength_ratio[g] >= ssr;
    mask[g] = strong && withinRatio(g, ratio, saturated) ? 1 : 0;
  }
  return mask;
}

/** Change the selection. */
function select(changes) {
  Object.assign(STATE, changes);
  const {ssr, ratio, saturated, lasso} = STATE;
  STATE.mask = maskWithin(ssr, ratio, saturated).map((one, g) => lasso === null ? one : one & lasso[g]);
  for (const listener of LISTENERS.selection) listener(STATE);
}

/** Pick a grain; -1 for none. */
function pick(grain) {
  STATE.picked = grain;
  for (const listener of LISTENERS.picked) listener(STATE);
}

/** Indices of the grains of which a function is true. */
function indicesWhere(test) {
  const found = [];
  for (let g = 0; g < FACTS.count; g++) if (test(g)) found.push(g);
  return found;
}

/** Grains by descending SSR, with the share of good ones down to each; equal SSRs go together. */
function purities() {
  const order = indicesWhere((g) => DATA.signal_strength_ratio[g] > 0)
    .sort((a, b) => DATA.signal_strength_ratio[b] - DATA.signal_strength_ratio[a]);
  const steps = [];
  let good = 0;
  order.forEach((g, i) => {
    good += withinRatio(g, STATE.ratio, STATE.saturated) ? 1 : 0;
    const ssr = DATA.signal_strength_ratio[g];
    if (i + 1 === order.length || DATA.signal_strength_ratio[order[i + 1]] !== ssr) {
      steps.push({ssr, purity: good / (i + 1)});
    }
  });
  return steps;
}

/** Smallest SSR above which the share of grains within the ratio is at least a purity; null if there is none. */
function strengthForPurity(purity) {
  let found = null;
  for (const step of purities()) if (step.purity >= purity) found = step.ssr;
  return found;
}

/** Share of the grains within the ratio among those above the SSR; NaN if there are none. */
function purityNow() {
  const above = indicesWhere((g) => STATE.ssr === 0 || DATA.signal_strength_ratio[g] >= STATE.ssr);
  return above.filter((g) => withinRatio(g, STATE.ratio, STATE.saturated)).length / above.length;
}
