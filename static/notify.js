// Says in one line how this device tells its customer that it's their turn, and asks for notifications where it can.
import { fill, write } from './live.js';
import { hasPush, known, makePress, needsInstall, turnOff, turnOn } from './push.js';

const RINGS = 'Keep this page open: it rings.';
const MAY_RING = 'Turn on Sound. Keep this page open: it rings.';
const SHOWS = 'Keep this page open: it shows when it\'s your turn.';
const NOTIFIED = 'We\'ll notify you, you can lock your phone.';
const INSTALL = 'To be notified with your phone locked: tap Share, then “Add to Home Screen”, and open this page from there.';

// What the open page does: it rings only with the sound on, which a browser without audio can't have.
function keepOpen() {
  const sound = document.getElementById('sound');
  if (!sound || sound.hidden) return SHOWS;
  return sound.getAttribute('aria-pressed') === 'true' ? RINGS : MAY_RING;
}

// Fills the element #reach of the ticket's page, each time that it is made anew.
export function tellHow(page) {
  let on = false, trouble = '';

  function draw() {
    const box = document.getElementById('reach'), { pushKey } = page.dataset;
    if (!box) return;
    if (!box.firstChild) fill(box, ...(hasPush && pushKey ? [makeButton(), makeLine()] : [makeLine()]));
    const button = box.querySelector('button');
    write(box.querySelector('p'), on ? NOTIFIED : needsInstall && pushKey ? INSTALL : `${trouble} ${keepOpen()}`.trim());
    if (button) button.setAttribute('aria-pressed', String(on));
  }

  function makeButton() {
    const button = document.createElement('button');
    button.type = 'button';
    button.id = 'notify';
    button.className = 'switch';
    button.textContent = 'Notify me';
    button.addEventListener('click', press);
    return button;
  }

  function makeLine() {
    const words = document.createElement('p');
    words.className = 'hint';
    words.setAttribute('role', 'status');
    return words;
  }

  // Once on a page without a question, since what it shows depends on the answer.
  async function look() {
    if (!hasPush || !page.dataset.pushKey || page.dataset.browsers === '0') return;
    on = Boolean(await known()) && Notification.permission === 'granted';
    draw();
  }

  const press = makePress(async () => {
    const { notify, pushKey } = page.dataset;
    if (on) {
      await turnOff(notify);
      on = false;
      return;
    }
    const answer = await turnOn(notify, pushKey);
    on = answer.ok;
    trouble = '';
    if (!answer.ok) write(document.getElementById('message'), (await answer.json()).error);
  }, sentence => { trouble = sentence; }, draw);

  document.addEventListener('swapped', draw);
  document.addEventListener('sound', draw);
  draw();
  look().catch(() => {});
}
