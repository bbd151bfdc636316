import { OptionError } from '../errors.ts'
import { describeValue } from './describe-value.ts'
import { MOST_BYTES_PER_UNIT, storedBytes } from './stored-text.ts'

/** More are refused: they stand in the options of an entry, as JSON within JSON. */
const HEADERS_LIMIT_BYTES = 8_192

/** The JSON text of headers. Throws OptionError for anything but texts by name, and for more than the limit. */
export function encodeHeaders(headers: Readonly<Record<string, string>>): string {
  // Not a Headers or a Map either: they have no properties, and would silently carry nothing.
  if (!isPlainObject(headers)) {
    throw new OptionError(`headers must be an object of texts by name; found ${describeValue(headers)}`, {
      option: 'headers',
      found: headers,
    })
  }
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value !== 'string')
      throw new OptionError(`Header ${name} must be a text; found ${typeof value}`, { option: 'headers', found: name })
  }
  const text = JSON.stringify(headers)
  // Most headers need no count.
  if (text.length * MOST_BYTES_PER_UNIT > HEADERS_LIMIT_BYTES && storedBytes(text) > HEADERS_LIMIT_BYTES) {
    throw new OptionError(
      `The headers have more than ${HEADERS_LIMIT_BYTES} bytes together, as JSON within JSON: quotes, slashes and control characters take more than one. Put large values into the payload.`,
      { option: 'headers' },
    )
  }
  return text
}

/** An object of a literal or of JSON, and none of a class. */
export function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
