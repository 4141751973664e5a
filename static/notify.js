// Says in one line how this device tells its customer that it's their turn, and asks for notifications where it can.
import { ask, fill, write } from './live.js';

const RINGS = 'Keep this page open: it rings.';
const MAY_RING = 'Turn on Sound. Keep this page open: it rings.';
const SHOWS = 'Keep this page open: it shows when it\'s your turn.';
const NOTIFIED = 'We\'ll notify you, you can lock your phone.';
const INSTALL = 'To be notified with your phone locked: tap Share, then “Add to Home Screen”, and open this page from there.';
const BLOCKED = 'Notifications are blocked in your browser’s settings.';
const FAILED = 'Notifications don’t work here just now.';
const WORKER = '/push-worker.js';

export const isApple = /iP(hone|ad|od)/.test(navigator.userAgent)
  || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);
export const hasPush = Boolean(window.isSecureContext && navigator.serviceWorker && window.PushManager && window.Notification);

// The key of the server, as a browser wants it.
function bytes(key) {
  const text = atob(key.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, letter => letter.charCodeAt(0));
}

export async function subscribe(key) {
  const registration = await navigator.serviceWorker.register(WORKER);
  await navigator.serviceWorker.ready;
  const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
  try {
    return await registration.pushManager.subscribe(options);
  } catch (error) {
    const old = await registration.pushManager.getSubscription();
    if (!old) throw error;
    await old.unsubscribe();  // it was made for another server at this address
    return registration.pushManager.subscribe(options);
  }
}

export async function known() {
  const registration = await navigator.serviceWorker.getRegistration(WORKER);
  return registration ? registration.pushManager.getSubscription() : null;
}

export function post(url, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  const body = JSON.stringify({ endpoint, keys });
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  return ask(url, { method: 'POST', headers, body });
}

// What the open page does: it rings only with the sound on, which a browser without audio can't have.
function keepOpen() {
  const sound = document.getElementById('sound');
  if (!sound || sound.hidden) return SHOWS;
  return sound.getAttribute('aria-pressed') === 'true' ? RINGS : MAY_RING;
}

// Fills the element #reach of the ticket's page, each time that it is made anew.
export function tellHow(page) {
  let on = false, trouble = '', busy = false;

  function draw() {
    const box = document.getElementById('reach'), { pushKey } = page.dataset;
    if (!box) return;
    if (!box.firstChild) fill(box, ...(hasPush && pushKey ? [makeButton(), makeLine()] : [makeLine()]));
    const button = box.querySelector('button'), needsInstall = !hasPush && pushKey && isApple && window.isSecureContext;
    write(box.querySelector('p'), on ? NOTIFIED : needsInstall ? INSTALL : `${trouble} ${keepOpen()}`.trim());
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

  async function press() {
    if (busy) return;
    busy = true;
    try {
      if (on) await stop();
      else await begin();
    } catch (error) {
      trouble = FAILED;
    }
    busy = false;
    draw();
  }

  async function begin() {
    if (await Notification.requestPermission() !== 'granted') {  // first, while the press still counts
      trouble = BLOCKED;
      return;
    }
    const answer = await post(page.dataset.notify, await subscribe(page.dataset.pushKey));
    on = answer.ok;
    trouble = '';
    if (!answer.ok) write(document.getElementById('message'), (await answer.json()).error);
  }

  async function stop() {
    const subscription = await known();
    if (subscription) await post(`${page.dataset.notify}/stop`, subscription);
    on = false;
  }

  document.addEventListener('swapped', draw);
  document.addEventListener('sound', draw);
  draw();
  look().catch(() => {});
}
