// Sends a form again by itself, as soon as the server takes what is sent: whatever it then answers is the next page.
import { whenReady, write } from './live.js';

const form = document.querySelector('form'), why = document.getElementById('why'), back = document.getElementById('back');
let sent = false;

// Once, whoever is faster; and as a browser sends it, so that what comes of it is shown like any answer. Who goes back
// from there finds the page that the form was on: from this one it would be sent a second time.
form.addEventListener('submit', event => {
  if (sent) return event.preventDefault();
  sent = true;
  form.action = location.href;
  history.replaceState(null, '', back.href);
});
addEventListener('pageshow', event => {
  if (event.persisted) location.replace(back.href);
});

document.getElementById('itself').hidden = false;
whenReady(sentence => write(why, sentence)).then(() => {
  if (!sent) form.querySelector('button').click();
});
