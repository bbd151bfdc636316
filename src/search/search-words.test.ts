import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { allowedTypos, countTypos, fold, spansOf, wordsOf } from './search-words.ts'

test('words are small letters without accents, separated by what is neither letter nor digit', () => {
  const cases: [string, string[]][] = [
    ['', []],
    ['São Paulo', ['sao', 'paulo']],
    ["l'Île-de-France", ['l', 'ile', 'de', 'france']],
    ['ÅNGSTRÖM straße', ['angstrom', 'strasse']],
    ['Łódź, Århus i Tromsø', ['lodz', 'arhus', 'i', 'tromso']],
    ['ŒUVRE Đakovo ÞÓR', ['oeuvre', 'dakovo', 'thor']],
    ['Ὀδυσσεύς', ['οδυσσευς']],
    ['a.b@example.com', ['a', 'b', 'example', 'com']],
    ['-12.5 x2', ['12', '5', 'x2']],
    ['नमस्ते दुनिया', ['नमस्ते', 'दुनिया']],
    ['مُحَمَّد', ['محمد']],
    ['İstanbul', ['istanbul']],
    ['ﬁne', ['fine']],
  ]
  for (const [text, words] of cases) assert.deepEqual(wordsOf(text), words, text)
})

test('texts without spaces are cut into words by a dictionary', () => {
  assert.ok(wordsOf('東京都に住む').includes('東京'))
  assert.ok(wordsOf('กรุงเทพมหานคร สวัสดีครับ').length >= 2)
})

test('spans cover the words as they are written, and folding twice is folding once', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      let at = 0
      for (const { word, start, end } of spansOf(text)) {
        assert.ok(start >= at && end > start)
        assert.equal(fold(text.slice(start, end)).slice(0, 100), word)
        at = end
      }
      assert.equal(fold(fold(text)), fold(text))
    }),
  )
})

test('typos are counted as letters that are missing, too many, wrong or swapped', () => {
  const cases: [string, string, number][] = [
    ['paris', 'paris', 0],
    ['paris', 'pairs', 1],
    ['paris', 'pari', 1],
    ['paris', 'parris', 1],
    ['paris', 'bari', 2],
    ['amsterdam', 'amstrdma', 2],
    ['𝒶𝒷', '𝒷𝒶', 1],
    ['abcdef', 'uvwxyz', 3],
  ]
  for (const [a, b, typos] of cases) assert.equal(countTypos(a, b, 2), typos, `${a} ${b}`)
  assert.deepEqual(['rio', 'bern', 'hamburg', 'amsterdam'].map(allowedTypos), [0, 1, 1, 2])
})

test('typos are the same both ways, and within a bound as without', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 7 })
  fc.assert(
    fc.property(word, word, (a, b) => {
      const exact = countTypos(a, b, 10)
      assert.equal(countTypos(b, a, 10), exact)
      assert.equal(countTypos(a, b, 1), Math.min(exact, 2))
      assert.ok(exact <= Math.max(a.length, b.length))
      assert.equal(exact === 0, a === b)
    }),
  )
})
