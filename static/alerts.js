// The owner's settings: alerts on this device.
import './owner.js';
import { write } from './live.js';
import { hasPush, known, makePress, needsInstall, turnOff, turnOn } from './push.js';

const INSTALL = 'To get alerts on this device: tap Share, then “Add to Home Screen”, and open this page from there.';
const ON = 'This device gets alerts.';
let on = false, line = '';

const deviceBox = () => document.getElementById('alert-device');

// What the server calls this device: a part of the hash of its endpoint.
async function nameOf(endpoint) {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint));
  return Array.from(new Uint8Array(hash), byte => byte.toString(16).padStart(2, '0')).join('').slice(0, 16);
}

function draw() {
  const box = deviceBox();
  if (!box || !box.dataset.pushKey) return;
  const button = box.querySelector('button'), words = box.querySelector('p');
  box.hidden = !(hasPush || needsInstall);
  button.hidden = !hasPush;
  button.setAttribute('aria-pressed', String(on));
  if (!button.onclick) button.onclick = press;
  write(words, needsInstall ? INSTALL : on ? ON : line);
}

// Nothing is asked of the browser where no device gets alerts yet.
async function look() {
  const box = deviceBox();
  on = false;
  if (!box || !box.dataset.devices || !hasPush || Notification.permission !== 'granted') return;
  const subscription = await known();
  on = Boolean(subscription) && box.dataset.devices.split(' ').includes(await nameOf(subscription.endpoint));
}

const press = makePress(async () => {
  const { notify, pushKey } = deviceBox().dataset;
  const answer = await (on ? turnOff(notify) : turnOn(notify, pushKey));
  if (answer) await showAnswer(answer);
  else on = false;
}, sentence => { line = sentence; }, draw);

async function showAnswer(answer) {
  const content = await answer.json();
  line = answer.ok ? '' : content.error;
  if (!answer.ok) return;
  const { devices } = content.alerts;
  deviceBox().dataset.devices = devices.join(' ');
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
