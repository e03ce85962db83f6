// Headings, controls, the summary of the selection, and the numbers of the picked grain.

const element = (id) => document.getElementById(id);

/** Fill a list of names and values; a value is text, and may have a number of full precision beside it. */
function fillList(id, lines) {
  const list = element(id);
  list.replaceChildren();
  for (const [name, text, value] of lines) {
    const term = document.createElement('dt'), description = document.createElement('dd');
    term.textContent = name;
    description.textContent = text;
    if (value !== undefined) description.dataset.value = String(value);
    const pair = document.createElement('div');
    pair.append(term, description);
    list.append(pair);
  }
}

/** The heading: the verdict first, and what stands in the way, as the command printed it. */
function showHeading() {
  const {name, count, trusted, limit, is_explained, warnings, summary} = FACTS;
  element('name').textContent = name;
  element('verdict').textContent = summary !== null ? summary.verdict : trusted === 0
    ? `None of the ${count} grains can be trusted to ${percent(limit)}.`
    : `${trusted} of ${count} grains can be trusted to ${percent(limit)}.`;
  document.body.classList.toggle('poor', trusted === 0 || !is_explained);
  if (!is_explained) {
    element('banner').textContent = 'Noise does not explain the map, so that no grain can be believed, whatever its ratio is.';
    element('banner').hidden = false;
  }
  // What the map is and how it fits stands beside the heading in numbers.
  fillList('reasons', Object.entries(summary ?? {}).filter(([key]) => !['verdict', 'map', 'fit'].includes(key)));
  for (const warning of warnings) {
    const item = document.createElement('li');
    item.textContent = warning;
    element('warnings').append(item);
  }
  element('warnings-box').hidden = warnings.length === 0;
  element('warnings-box').open = summary === null;
  const known = [
    ['reduced χ²', FACTS.reduced_chi_square, (value) => digits(value)],
    ['noise', FACTS.noise, (value) => `${digits(value)} nT`],
    ['residual of the map', FACTS.residual_share, (value) => percent(value, 2)],
    ['condition number', FACTS.condition, (value) => digits(value, 2)],
    ['confidence', FACTS.level, (value) => percent(value)],
  ];
  fillList('diagnosis', known.filter(([, value]) => value !== null).map(([term, value, text]) => [term, text(value)]));
  fillList('made', Object.entries(FACTS.made));
  element('notes').textContent = ['z points up, the surface is at 0; declination clockwise from +y, inclination positive down.',
    FACTS.shapes_note, FACTS.reduced_chi_square === null ? 'The results do not hold χ²: ratios are as they were solved.' : '']
    .filter(Boolean).join(' ');
  if (FACTS.widening >= FACTS.notable_widening) element('ratio-label').textContent = `Uncertainty ratio × √χ² (${digits(FACTS.widening)}) at most`;
}

/** Ends of the sliders: the smallest and the largest positive finite value. */
const ENDS = {};

/** Value of a slider of 0 to 1000 on a logarithmic scale between the ends. */
function fromSlider(name) {
  const [low, high] = ENDS[name];
  return low * (high / low) ** (Number(element(`${name}-slider`).value) / 1000);
}

/** Set a slider to a value. */
function toSlider(name, value) {
  const [low, high] = ENDS[name];
  const place = high > low ? 1000 * Math.log(value / low) / Math.log(high / low) : 0;
  element(`${name}-slider`).value = String(Math.min(Math.max(place, 0), 1000));
}

/** Positive number of a text, with a point or a comma; NaN if it is none. */
function typedNumber(text) {
  const plain = text.trim().replace(',', '.').replace('−', '-').replace(/\s*%$/, '');
  return /^[+]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/.test(plain) ? Number(plain) : NaN;
}

/** Text of a number for a field to type in. */
function fieldText(value) {
  return Number(value.toPrecision(4)).toString();
}

/** Prepare the controls and listen to them. */
function startControls() {
  ENDS.ssr = endsOf(DATA.signal_strength_ratio);
  ENDS.ratio = endsOf(DATA.ratio);
  element('ssr-slider').addEventListener('input', () => {
    select({ssr: element('ssr-slider').value === '0' ? 0 : fromSlider('ssr')});
  });
  element('ratio-slider').addEventListener('input', () => {
    select({ratio: element('ratio-slider').value === '1000' ? Infinity : fromSlider('ratio')});
  });
  element('purity-slider').addEventListener('input', () => {
    const ssr = strengthForPurity(Number(element('purity-slider').value) / 1000);
    if (ssr === null) element('purity-value').textContent = 'never';
    else select({ssr});
  });
  element('ssr-value').addEventListener('change', () => {
    const typed = element('ssr-value').value.trim() === '' ? 0 : typedNumber(element('ssr-value').value);
    select(Number.isNaN(typed) ? {} : {ssr: typed});
  });
  element('ratio-value').addEventListener('change', () => {
    const typed = element('ratio-value').value.trim() === '' ? Infinity : typedNumber(element('ratio-value').value) / 100;
    select(Number.isNaN(typed) ? {} : {ratio: typed});
  });
  element('saturated').addEventListener('change', () => select({saturated: element('saturated').checked}));
  element('clear-lasso').addEventListener('click', () => select({lasso: null}));
  element('reset').addEventListener('click', resetSelection);
  element('download').addEventListener('click', downloadIds);
  element('copy').addEventListener('click', copyIds);
  element('find').addEventListener('submit', (event) => {
    event.preventDefault();
    const grain = FACTS.ids.indexOf(element('find-id').value.trim());
    pick(grain);
    if (grain < 0) element('picked-hint').textContent = `No grain has the id ${element('find-id').value.trim()}.`;
  });
  onChange('selection', showControls);
  onChange('selection', showSummary);
  onChange('picked', showNumbers);
  onChange('selection', showNumbers);
}

/** Smallest and largest positive finite value. */
function endsOf(values) {
  const known = Array.from(values).filter((value) => value > 0 && Number.isFinite(value));
  return known.length ? [known.reduce((a, b) => Math.min(a, b)), known.reduce((a, b) => Math.max(a, b))] : [1, 1];
}

/** The selection at the beginning: the grains that are trusted, or those of the list that the results were made with. */
function resetSelection() {
  let lasso = null;
  if (FACTS.selected !== null) {
    lasso = new Uint8Array(FACTS.count);
    for (const g of FACTS.selected) lasso[g] = 1;
  }
  // Where the map is not explained, ratios say nothing, and no grain is trusted.
  const trusting = FACTS.is_explained ? FACTS.limit : 0;
  select({ssr: 0, ratio: lasso === null ? trusting : Infinity, saturated: lasso !== null, lasso});
}

/** Show the state in the controls. */
function showControls() {
  if (STATE.ssr === 0) element('ssr-slider').value = '0';
  else toSlider('ssr', STATE.ssr);
  if (STATE.ratio === Infinity) element('ratio-slider').value = '1000';
  else toSlider('ratio', STATE.ratio);
  element('ssr-value').value = STATE.ssr === 0 ? '' : fieldText(STATE.ssr);
  element('ratio-value').value = STATE.ratio === Infinity ? '' : fieldText(100 * STATE.ratio);
  element('ssr-value').placeholder = element('ratio-value').placeholder = 'any';
  element('saturated').checked = STATE.saturated;
  element('clear-lasso').hidden = STATE.lasso === null;
  const purity = purityNow();
  element('purity-value').textContent = Number.isNaN(purity) ? '–' : percent(purity);
  if (document.activeElement !== element('purity-slider')) element('purity-slider').value = String(Math.round(1000 * (purity || 0)));
  element('ssr-slider').setAttribute('aria-valuetext', STATE.ssr === 0 ? 'any' : `${digits(STATE.ssr)} per µm`);
  element('ratio-slider').setAttribute('aria-valuetext', STATE.ratio === Infinity ? 'any' : percent(STATE.ratio));
  element('purity-slider').setAttribute('aria-valuetext', element('purity-value').textContent);
}

/** Show the count and the sum of the selection. */
function showSummary() {
  const count = STATE.mask.reduce((sum, one) => sum + one, 0);
  element('count').textContent = String(count);
  element('count-of').textContent = `of ${FACTS.count} grains`;
  element('download').disabled = element('copy').disabled = count === 0;
  element('copied').textContent = '';
  if (count === 0) {
    fillList('sums', []);
    element('sums-note').textContent = 'No grain is selected.';
    return;
  }
  const {sum, covariance, note} = selectionSum(STATE);
  const {length, declination, inclination} = directionOf(sum);
  const spread = spreadOf(sum, covariance);
  const exponent = length > 0 ? Math.floor(Math.log10(length)) : 0;
  const line = (name, value, deviation) => [name, withSpread(value, deviation, exponent), `${value} ${deviation}`];
  fillList('sums', [
    ['sum of moments', `${powerOfTen(exponent)} A m²`],
    line('length', length, spread.length),
    ...['x', 'y', 'z'].map((axis, i) => line(axis, sum[i], Math.sqrt(Math.max(covariance[[0, 3, 5][i]], 0)))),
    ['declination', `${declination.toFixed(1)}°`, declination],
    ['inclination', `${inclination.toFixed(1).replace('-', '−')}°`, inclination],
    ['direction within', `± ${digits(spread.angle, 2)}°`, spread.angle],
  ]);
  element('sums-note').textContent = `Standard deviations, ${note}.`;
}

/** Show the numbers of the picked grain. */
function showNumbers() {
  const g = STATE.picked;
  element('picked-hint').textContent = g < 0 ? 'Click a grain in any view, or type its id.' : '';
  if (g < 0) {
    fillList('picked', []);
    return;
  }
  element('find-id').value = FACTS.ids[g];
  const kilo = (value) => digits(value / 1e3);
  fillList('picked', [
    ['grain', `${FACTS.ids[g]}, ${stateOf(g)}`],
    ['magnetization', `${kilo(DATA.magnetization[g])} kA/m`, DATA.magnetization[g]],
    [`${percent(FACTS.level)} sphere`, `± ${kilo(DATA.confidence_radius[g])} kA/m`],
    ['uncertainty ratio', percent(DATA.uncertainty_ratio[g]), DATA.uncertainty_ratio[g]],
    ...FACTS.widening >= FACTS.notable_widening ? [['× √χ²', percent(DATA.ratio[g])]] : [],
    ['SSR', `${digits(DATA.signal_strength_ratio[g])} µm⁻¹`],
    ['x, y, z', ['mx', 'my', 'mz'].map((name) => kilo(DATA[name][g])).join(', ') + ' kA/m'],
    ['direction', `D ${DATA.declination[g].toFixed(1)}°, I ${DATA.inclination[g].toFixed(1).replace('-', '−')}°`],
    ['moment', `${digits(DATA.moment[g])} A m²`],
    ['diameter', `${digits(DATA.diameter[g])} µm`],
    ['centre', `${digits(DATA.x[g], 4)}, ${digits(DATA.y[g], 4)}, ${digits(DATA.z[g], 4)} µm`],
  ]);
}

/** A cell of a table for spreadsheets: what they would take for a formula begins with an apostrophe. */
function inertCell(text) {
  const plain = /^[\s]*[=@+\-\t\r]/.test(text) && !/^[+-]?\d+(\.\d*)?$/.test(text) ? `'${text}` : text;
  return /[",;\t\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
}

/** The ids of the selected grains, as a table of one column. */
function idsOfSelection() {
  return `id\n${indicesWhere((g) => STATE.mask[g]).map((g) => inertCell(FACTS.ids[g])).join('\n')}\n`;
}

/** Save the ids as a file. */
function downloadIds() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([idsOfSelection()], {type: 'text/csv'}));
  link.download = 'selected-grains.csv';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Put the ids on the clipboard. */
async function copyIds() {
  const text = idsOfSelection();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement('textarea');
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  element('copied').textContent = `${text.split('\n').length - 2} ids copied.`;
}
