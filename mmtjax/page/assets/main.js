// The beginning.

/** Show what has gone wrong. */
function showFailure(error) {
  const banner = document.getElementById('banner');
  banner.textContent = `This page could not be shown completely: ${error.message ?? error}`;
  banner.hidden = false;
}

async function start() {
  if (typeof DecompressionStream === 'undefined') {
    throw new Error('the browser is too old; use one of 2023 or later');
  }
  Bokeh.set_log_level('error');
  showHeading();
  await loadArrays();
  deriveColumns();
  const bokeh = await drawFigures();
  startControls();
  fillFigures(bokeh);
  startTable();
  startSpace();
  for (const radio of document.querySelectorAll('input[name=map]')) {
    radio.addEventListener('change', () => { showMap(bokeh, radio.value); readMap(NaN, NaN); });
  }
  readMap(NaN, NaN);
  resetSelection();
  pick(-1);
  document.documentElement.dataset.ready = 'true';
}

start().catch(showFailure);
