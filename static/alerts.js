// The owner's settings: alerts on this device.
import './owner.js';
import { write } from './live.js';
import { hasPush, isApple, known, post, subscribe } from './notify.js';

const INSTALL = 'To get alerts on this device: tap Share, then “Add to Home Screen”, and open this page from there.';
const BLOCKED = 'Notifications are blocked in your browser’s settings.';
const FAILED = 'Notifications don’t work here just now.';
const ON = 'This device gets alerts.';
let on = false, line = '', busy = false;

// What the server calls this device: a part of the hash of its endpoint.
async function nameOf(endpoint) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint));
  return Array.from(new Uint8Array(hash), byte => byte.toString(16).padStart(2, '0')).join('').slice(0, 16);
}

function draw() {
  const box = document.getElementById('alert-device');
  if (!box || !box.dataset.pushKey) return;
  const button = box.querySelector('button'), words = box.querySelector('p');
  const needsInstall = !hasPush && isApple && window.isSecureContext;
  box.hidden = !(hasPush || needsInstall);
  button.hidden = !hasPush;
  button.setAttribute('aria-pressed', String(on));
  if (!button.onclick) button.onclick = press;
  write(words, needsInstall ? INSTALL : on ? ON : line);
}

// Nothing is asked of the browser where no device gets alerts yet.
async function look() {
  const box = document.getElementById('alert-device');
  on = false;
  if (!box || !box.dataset.devices || !hasPush || Notification.permission !== 'granted') return;
  const subscription = await known();
  on = Boolean(subscription) && box.dataset.devices.split(' ').includes(await nameOf(subscription.endpoint));
}

async function press() {
  if (busy) return;
  busy = true;
  try {
    await (on ? stop() : begin());
  } catch (error) {
    line = FAILED;
  }
  busy = false;
  draw();
}

async function begin() {
  if (await Notification.requestPermission() !== 'granted') {  // first, while the press still counts
    line = BLOCKED;
    return;
  }
  const { notify, pushKey } = document.getElementById('alert-device').dataset;
  await answered(await post(notify, await subscribe(pushKey)));
}

async function stop() {
  const { notify } = document.getElementById('alert-device').dataset, subscription = await known();
  if (subscription) await answered(await post(`${notify}/stop`, subscription));
  else on = false;
}

async function answered(answer) {
  const content = await answer.json(), box = document.getElementById('alert-device');
  line = answer.ok ? '' : content.error;
  if (!answer.ok) return;
  const { devices } = content.alerts;
  box.dataset.devices = devices.join(' ');
  const others = document.getElementById('alert-devices');
  if (others) others.hidden = !devices.length;
  if (others) write(others.querySelector('p'), devices.length === 1 ? '1 device gets alerts.' : `${devices.length} devices get alerts.`);
  await look();
}

function renew() {
  look().catch(() => {}).then(draw);
}

document.addEventListener('swapped', renew);
draw();
renew();
