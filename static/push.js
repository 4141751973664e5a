// Notifications of this device: asking for permission, and its push subscription. For the ticket (notify.js) and the
// owner's alerts (alerts.js), each of which has a button that turns them on and off.
import { ask, isApple } from './live.js';

const BLOCKED = 'Notifications are blocked in your browser’s settings.';
const FAILED = 'Notifications don’t work here just now.';
const WORKER = '/push-worker.js';

export const hasPush = Boolean(window.isSecureContext && navigator.serviceWorker && window.PushManager && window.Notification);
// iPhones and iPads have them only in pages on the home screen.
export const needsInstall = !hasPush && isApple && window.isSecureContext;

// The key of the server, as a browser wants it.
function bytes(key) {
  const text = atob(key.replace(/-/g, '+').replace(/_/g, '/'));
  return Uint8Array.from(text, letter => letter.charCodeAt(0));
}

async function subscribe(key) {
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

// The subscription that this device has already, or null.
export async function known() {
  const registration = await navigator.serviceWorker.getRegistration(WORKER);
  return registration ? registration.pushManager.getSubscription() : null;
}

function post(url, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  const body = JSON.stringify({ endpoint, keys });
  const headers = { Accept: 'application/json', 'Content-Type': 'application/json' };
  return ask(url, { method: 'POST', headers, body });
}

class Blocked extends Error {}

// Subscribes this device at a URL of the server, and returns the answer.
export async function turnOn(url, key) {
  // First, while the press still counts.
  if (await Notification.requestPermission() !== 'granted') throw new Blocked();
  return post(url, await subscribe(key));
}

// Ends the subscription at the URL, and returns the answer; null if this device has none.
export async function turnOff(url) {
  const subscription = await known();
  return subscription ? post(`${url}/stop`, subscription) : null;
}

// Makes what a press of the button does: `change`, one at a time. `fail` gets the sentence that says why it failed.
export function makePress(change, fail, draw) {
  let busy = false;
  return async () => {
    if (busy) return;
    busy = true;
    try {
      await change();
    } catch (error) {
      fail(error instanceof Blocked ? BLOCKED : FAILED);
    }
    busy = false;
    draw();
  };
}
