// Sends a form again by itself, as soon as the server takes what is sent: whatever it then answers is the next page.
import { whenReady, write } from './live.js';

const form = document.querySelector('form'), why = document.getElementById('why');
let sent = false;

// Once, whoever is faster; and as a browser sends it, so that what comes of it is shown like any answer.
form.addEventListener('submit', event => {
  if (sent) event.preventDefault();
  sent = true;
});

// From a page that this browser had put aside nothing is sent a second time.
addEventListener('pageshow', event => {
  if (event.persisted) location.replace(document.getElementById('back').href);
});

document.getElementById('itself').hidden = false;
await whenReady(sentence => write(why, sentence));
if (!sent) form.querySelector('button').click();
