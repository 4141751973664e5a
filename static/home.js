import './forms.js';

// A browser knows which time zone it is in, and the zone tells the country. Its language tells neither.
const zone = document.querySelector('[name=timezone]');
if (zone && !zone.value) zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || '';
