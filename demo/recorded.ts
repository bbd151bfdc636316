// What the demo records in transactions, and how it is told apart: by its subject, which is its key, and a number that counts per subject
// in commit order.

export const DOCTYPE = 'City'
export const COUNTRIES_TOPIC = 'demo.countries'
export const ALERTS_TOPIC = 'demo.alerts'
export const COUNTRY_CHANGED = 'country.changed'
export const ALERT_RAISED = 'alert.raised'
/** Type of a recorded job. */
export const TALLY = 'country.tally'

/** How often the enriching of a city is tried. */
export const ENRICH_ATTEMPTS = 3

export const subjects = {
  city: (cityId: number | string) => `City:${cityId}`,
  country: (code: string) => `country:${code}`,
  alert: (code: string) => `alert:${code}`,
  tally: (code: string) => `tally:${code}`,
}

/** The data of events that are recorded by the application itself, and the payload of its recorded jobs. */
export interface Numbered {
  readonly subject: string
  readonly number: number
}

/** The fields of an envelope that tell events apart. */
export interface EnvelopeFacts {
  readonly doctype: string | null
  readonly docname: string | null
  readonly data: unknown
  readonly prev_data: unknown
}

/** Which event it is. Of a captured one the row's version counts; its deletion is the version after the last. */
export function identify({ doctype, docname, data, prev_data }: EnvelopeFacts): Numbered {
  if (doctype !== DOCTYPE) return data as Numbered
  const present = data as { version: number } | null
  const before = prev_data as { version: number } | null
  return { subject: subjects.city(docname ?? ''), number: present?.version ?? (before?.version ?? Number.NaN) + 1 }
}
