// The table of the grains, which says in text what the figures show, a part at a time.

const ROWS = 25;

/** Columns of the table: heading, and the text and the value of a grain. */
const COLUMNS = [
  {title: 'grain', value: (g) => FACTS.ids[g], text: (g) => FACTS.ids[g], number: false},
  {title: 'x (µm)', value: (g) => DATA.x[g], text: (g) => DATA.x[g].toFixed(1)},
  {title: 'y (µm)', value: (g) => DATA.y[g], text: (g) => DATA.y[g].toFixed(1)},
  {title: 'depth (µm)', value: (g) => DATA.depth[g]},
  {title: 'd (µm)', value: (g) => DATA.diameter[g]},
  {title: 'M (kA/m)', value: (g) => DATA.magnetization[g] / 1e3},
  {title: 'D (°)', value: (g) => DATA.declination[g], text: (g) => DATA.declination[g].toFixed(1)},
  {title: 'I (°)', value: (g) => DATA.inclination[g], text: (g) => DATA.inclination[g].toFixed(1).replace('-', '−')},
  {title: 'ratio (%)', value: (g) => 100 * DATA.ratio[g]},
  {title: 'SSR (µm⁻¹)', value: (g) => DATA.signal_strength_ratio[g]},
  {title: 'moment (A m²)', value: (g) => DATA.moment[g]},
  {title: 'state', value: (g) => stateOf(g), text: (g) => stateOf(g), number: false},
];

const TABLE = {order: [], start: 0, sort: 9, descending: true};

/** What a grain is, in words. */
function stateOf(g) {
  return STATE.mask[g] ? 'selected' : DATA.beyond_saturation[g] ? 'saturated' : 'other';
}

/** Make the headings, whose buttons sort, and listen. */
function startTable() {
  const head = document.querySelector('#table thead').insertRow();
  COLUMNS.forEach((column, number) => {
    const cell = document.createElement('th');
    cell.scope = 'col';
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = column.title;
    button.addEventListener('click', () => {
      TABLE.descending = TABLE.sort === number ? !TABLE.descending : column.number !== false;
      TABLE.sort = number;
      orderTable();
    });
    cell.append(button);
    head.append(cell);
  });
  document.getElementById('only-selected').addEventListener('change', orderTable);
  document.getElementById('previous').addEventListener('click', () => turnTable(TABLE.start - ROWS));
  document.getElementById('next').addEventListener('click', () => turnTable(TABLE.start + ROWS));
  onChange('selection', orderTable);
  onChange('picked', ({picked}) => {
    const place = TABLE.order.indexOf(picked);
    turnTable(place < 0 ? TABLE.start : place - place % ROWS);
  });
}

/** Order the grains by the chosen column, and show the first. */
function orderTable() {
  const only = document.getElementById('only-selected').checked;
  const {value} = COLUMNS[TABLE.sort];
  const keys = Array.from({length: FACTS.count}, (_, g) => value(g));
  const compare = new Intl.Collator('en', {numeric: true}).compare;
  const order = indicesWhere((g) => !only || STATE.mask[g]);
  order.sort((a, b) => {
    if (typeof keys[a] === 'string') return compare(keys[a], keys[b]);
    // What is not a number comes last.
    if (Number.isNaN(keys[a]) || Number.isNaN(keys[b])) return Number.isNaN(keys[a]) - Number.isNaN(keys[b]);
    return keys[a] === keys[b] ? 0 : (keys[a] < keys[b] ? -1 : 1) * (TABLE.descending ? -1 : 1);
  });
  if (typeof keys[0] === 'string' && TABLE.descending) order.reverse();
  TABLE.order = order;
  document.querySelectorAll('#table th').forEach((cell, number) => {
    if (number === TABLE.sort) cell.setAttribute('aria-sort', TABLE.descending ? 'descending' : 'ascending');
    else cell.removeAttribute('aria-sort');
  });
  turnTable(0);
}

/** Show the rows from a place on. */
function turnTable(start) {
  const {order} = TABLE;
  TABLE.start = Math.max(0, Math.min(start, order.length - 1 - (order.length - 1) % ROWS));
  const body = document.createElement('tbody');
  for (const g of order.slice(TABLE.start, TABLE.start + ROWS)) {
    const row = body.insertRow();
    row.className = g === STATE.picked ? 'picked' : '';
    COLUMNS.forEach(({value, text, number}, place) => {
      const cell = row.insertCell();
      const content = text ? text(g) : digits(value(g), 3);
      if (place === 0) {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = content;
        button.addEventListener('click', () => pick(g));
        cell.append(button);
      } else {
        cell.textContent = content;
        cell.className = number === false ? '' : 'number';
      }
    });
  }
  document.querySelector('#table tbody').replaceWith(body);
  const last = Math.min(TABLE.start + ROWS, order.length);
  document.getElementById('rows').textContent = order.length ? `${TABLE.start + 1} to ${last} of ${order.length} grains` : 'no grains';
  document.getElementById('previous').disabled = TABLE.start === 0;
  document.getElementById('next').disabled = last >= order.length;
}
