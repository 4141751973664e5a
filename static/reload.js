// Loads a page anew every 15 seconds whose scripts don't run: in an old browser that can't read them, for example.
// live.js sets data-scripts. This file is for the oldest browsers, so it uses none of their successors' syntax.
(function () {
  var failed = false;
  window.addEventListener('error', function () {
    if (document.readyState !== 'complete') failed = true;
  });
  setTimeout(function () {
    if (failed || !document.documentElement.hasAttribute('data-scripts')) {
      location.replace(document.body.getAttribute('data-here'));
    }
  }, 15000);
})();
