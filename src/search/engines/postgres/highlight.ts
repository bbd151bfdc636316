import type { TextPiece } from '../../search-engine.ts'
import { spansOf } from '../../search-words.ts'

/** A text up to so long is shown whole. */
const LONGEST_WHOLE = 300
const BEFORE_MATCH = 60
const AFTER_MATCH = 200

/** A text in pieces, matching or not; a long one cut to the surroundings of its first match. Undefined: nothing in it matches. */
export function highlight(text: string, isMatch: (word: string) => boolean): readonly TextPiece[] | undefined {
  const matches = [...spansOf(text)].filter(({ word }) => isMatch(word))
  const [first] = matches
  if (!first) return undefined
  const isWhole = text.length <= LONGEST_WHOLE
  const from = isWhole ? 0 : cutAfterSpace(text, Math.max(0, first.start - BEFORE_MATCH), first.start)
  const to = isWhole ? text.length : Math.min(text.length, first.end + AFTER_MATCH)
  const pieces: TextPiece[] = []
  const add = (piece: string, isMatching: boolean) => {
    if (piece !== '') pieces.push({ text: piece, isMatch: isMatching })
  }
  let at = from
  if (from > 0) add('… ', false)
  for (const { start, end } of matches) {
    if (end > to) break
    add(text.slice(at, start), false)
    add(text.slice(start, end), true)
    at = end
  }
  add(text.slice(at, to).toWellFormed(), false)
  if (to < text.length) add(' …', false)
  return pieces
}

function cutAfterSpace(text: string, from: number, most: number): number {
  if (from === 0) return 0
  const space = text.indexOf(' ', from)
  return space >= 0 && space < most ? space + 1 : most
}
