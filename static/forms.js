// Forms that lead to another page: without a network, a press leaves the page as it is, with what was typed, and says so.
import { ask } from './live.js';
import { offline, pressed, sameForm, stay } from './swap.js';

const REACHED = '/static/favicon.svg';  // small, and needs no database
const AGAIN = 4000;  // ms after which a form can be sent again whose page hasn't come: somebody has stopped it, or it was a file

// While a form is on its way to another page, live.js leaves this one to nowhere else, and swap.js doesn't refresh it.
const { dataset } = document.body;
const isSent = () => 'sent' in dataset;
const setSent = yes => {
  if (yes) {
    dataset.sent = '';
    return;
  }
  delete dataset.sent;
  stay();
};

// A new window opens only as part of the press, so what leads to one can't be checked before.
const isChecked = form => form.method === 'post' && !form.matches('[data-quiet], [target]');

const forgetPressed = () => document.querySelectorAll('[data-pressed]').forEach(input => input.remove());

// submit() leaves out which button was pressed.
function submit(form, button) {
  forgetPressed();  // of a press that led nowhere
  if (button && button.name) {
    const input = document.createElement('input');
    Object.assign(input, { type: 'hidden', name: button.name, value: button.value });
    input.dataset.pressed = '';
    form.append(input);
  }
  form.submit();
}

document.addEventListener('submit', async event => {
  const form = event.target, button = pressed(event);
  if (event.defaultPrevented || !isChecked(form)) return;
  event.preventDefault();
  if (isSent()) return;
  setSent(true);
  try {
    await ask(REACHED, { method: 'HEAD' });
    const shown = form.isConnected ? form : sameForm(form);  // the page may have changed
    if (shown) submit(shown, button);
    setTimeout(setSent, shown ? AGAIN : 0, false);
  } catch (error) {
    setSent(false);
    offline();
  }
});
addEventListener('pageshow', () => {  // somebody came back
  setSent(false);
  forgetPressed();
});
