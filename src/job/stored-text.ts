/**
 * Texts in the options of an entry are counted as the server's JSON writer (cjson) writes them, between the quotes: it escapes more
 * than ours, e.g. a slash, and writes the options anew whenever a script changes them.
 */
export function storedBytes(text: string): number {
  let bytes = 0
  for (const character of text) bytes += bytesOf(character.codePointAt(0) as number)
  return bytes
}

/** The beginning of a text that takes at most so many bytes. Well-formed: the server's JSON reader refuses half a surrogate pair. */
export function cutStored(text: string, limitBytes: number): string {
  const candidate = text.slice(0, limitBytes).toWellFormed() // a character takes a byte at least
  let bytes = 0
  let end = 0
  for (const character of candidate) {
    bytes += bytesOf(character.codePointAt(0) as number)
    if (bytes > limitBytes) break
    end += character.length
  }
  return candidate.slice(0, end)
}

/** The most that one UTF-16 unit can take. */
export const MOST_BYTES_PER_UNIT = 6

const SHORT_ESCAPES = new Set(Array.from('\b\t\n\f\r"\\/', (character) => character.charCodeAt(0)))

function bytesOf(code: number): number {
  if (SHORT_ESCAPES.has(code)) return 2
  if (code < 0x20 || code === 0x7f) return 6
  if (code < 0x80) return 1
  if (code < 0x800) return 2
  return code < 0x10000 ? 3 : 4
}
