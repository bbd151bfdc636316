// How texts become words, alike for documents and for queries: small letters without accents, separated by what is neither letter nor digit.

/** Accents and the like of Latin, Greek, Cyrillic, Hebrew and Arabic. Elsewhere marks are vowels, and stay. */
const ACCENTS = /[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670]/g
/** Letters of which the mark is a part, so that Unicode does not take it off. */
const STROKES: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  þ: 'th',
  ł: 'l',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ŧ: 't',
  ı: 'i',
}
const STROKE = /[ßæœþłøđðħŧı]/g
const WORD = /[\p{L}\p{N}\p{M}]+/gu
/** Written without spaces: where a word ends is for a dictionary to say. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u
const ASCII = /^[\0-\x7f]*$/
// PostgreSQL does not index longer ones; nobody types them.
const LONGEST_WORD = 100

let segmenter: Intl.Segmenter | undefined

/** Small letters without accents. */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase()
  const plain = text.normalize('NFKD').replaceAll(ACCENTS, '').normalize('NFC').toLowerCase().replaceAll(ACCENTS, '')
  return plain.replaceAll(STROKE, (letter) => STROKES[letter] ?? letter)
}

/** The words of a text, folded, in order. */
export function wordsOf(text: string): string[] {
  const words: string[] = []
  for (const { word } of spansOf(text)) words.push(word)
  return words
}

export interface WordSpan {
  readonly word: string
  /** Where it stands in the text as it is written. */
  readonly start: number
  readonly end: number
}

/** The words of a text, folded, and where they stand. */
export function* spansOf(text: string): Generator<WordSpan> {
  for (const match of text.matchAll(WORD)) {
    const [written] = match
    if (!UNSPACED.test(written)) {
      yield spanOf(written, match.index)
      continue
    }
    segmenter ??= new Intl.Segmenter(undefined, { granularity: 'word' })
    for (const { segment, index } of segmenter.segment(written)) yield spanOf(segment, match.index + index)
  }
}

function spanOf(written: string, start: number): WordSpan {
  return { word: fold(written).slice(0, LONGEST_WORD), start, end: start + written.length }
}

/** How many typos a word may have: as Meilisearch counts, but from four letters on. */
export function allowedTypos(word: string): number {
  const { length } = Array.from(word)
  if (length < 4) return 0
  return length < 9 ? 1 : 2
}

/**
 * Typos between two words: letters that are missing, too many, others, or in each other's place (optimal string alignment distance). More
 * than `most`: `most + 1`.
 */
export function countTypos(a: string, b: string, most: number): number {
  const [left, right] = [Array.from(a), Array.from(b)]
  if (Math.abs(left.length - right.length) > most) return most + 1
  let before: number[] = []
  let last = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const row = [i]
    for (let j = 1; j <= right.length; j++) {
      const isSame = left[i - 1] === right[j - 1]
      let typos = Math.min(
        (last[j] as number) + 1,
        (row[j - 1] as number) + 1,
        (last[j - 1] as number) + (isSame ? 0 : 1),
      )
      const isSwapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1]
      if (isSwapped) typos = Math.min(typos, (before[j - 2] as number) + 1)
      row.push(typos)
    }
    before = last
    last = row
  }
  return Math.min(last[right.length] as number, most + 1)
}
