"""The rules: places, queues, tickets, counters, calls, contacts.

Nothing here knows Flask, HTTP, URLs or the words of the interface. A function takes a connection, the time
and plain values, returns a dataclass of `models.py`, and raises an exception of `errors.py`.

The modules by subject; the first sentence of each says what it is about:

- what others use: models, queries, history, slugs, tags, days, countries, phones
- places: places, new_places, branding, codes, picture, today, export, erasure
- customers and desks: queues, tickets, transitions, position, line_events, more_time, plans, desks, servicers
- counters: counters, doors, counter_history
- the estimated wait: wait, wait_line, wait_door, wait_services, wait_range
- statistics: stats, ticket_counts, kept_counts, distributions, desk_stats
- call lists: calls, due_calls, contacts_on_lists, calling_hours, reports, wordlists, call_requests,
  call_stats, call_report
- contacts: contacts, contact_search, contact_actions, opt_outs
- files of contacts: imports, import_files, import_columns, import_staging, import_rows, import_matching,
  import_preview, import_storing, import_upkeep, spreadsheets, encodings, sheets, sheet_rows, columns,
  column_words, no_calls, no_call_words, date_forms, zone_names
- what customers are told: notices, notifications, subscriptions, soon, request_mails
- what owners and their programs are told: alerts, alert_targets, alert_advice, webhooks, occupancy
- how messages leave: outbox, due_messages, outgoing, web_push, mail, mail_addresses, mail_texts
- clocks that may be wrong: clock_check, trusted_time
"""
