// Pages with one form: without a network, a press leaves the page as it is, and says so.
import { quietForms } from './swap.js';

quietForms();
