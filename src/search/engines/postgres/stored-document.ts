import { hash } from 'node:crypto'
import type { FieldValue } from '../../../doctype/search-options.ts'
import type { IndexSettings, SearchDocument } from '../../search-engine.ts'
import { wordsOf } from '../../search-words.ts'

/** What is compared, sorted by and handed out of a document, as submit_search_documents takes it. */
export interface StoredValues {
  readonly id: string
  readonly rev: string
  readonly keys: Readonly<Record<string, unknown>>
  readonly fields: SearchDocument['fields']
}

/** The same with what it is found and counted by. */
export interface StoredDocument extends StoredValues {
  readonly text_rev: string
  readonly title: string
  readonly a: string
  readonly b: string
  readonly c: string
  readonly d: string
  readonly marks: readonly string[]
  readonly facets: Readonly<Record<string, unknown>>
}

// A row of an index, a lexeme and a vector have limits of their own: far above these.
const LONGEST_KEY = 400
const LONGEST_TITLE = 400
const MOST_ELEMENTS = 1_000
/** So many words of the first field are known to be of it. */
const MOST_FIRST_WORDS = 100
/** So many letters of the texts of one weight are looked at; what is behind them is handed out and not found. */
const MOST_LETTERS = 100_000

/** To be raised when words or marks are made otherwise: texts are written anew then, as their documents change. */
const FORM = 1

/** Tells apart what documents are found and counted by: where it is the same, `storeValues` says all that changed. */
export function textRevOf({ fields }: SearchDocument, settings: IndexSettings): string {
  const found = [
    FORM,
    ...settings.searchable.map((field) => textOf(fields[field] as FieldValue)),
    ...filterableOf(settings).map((field) => (isMarked(field, fields[field], settings) ? fields[field] : 0)),
    ...settings.facets.map((field) => fields[field]),
  ]
  return hash('sha256', JSON.stringify(found), 'base64url').slice(0, 22)
}

export function storeValues({ id, rev, fields }: SearchDocument, settings: IndexSettings): StoredValues {
  return { id, rev, keys: keysOf(fields, [...filterableOf(settings), ...settings.sortable]), fields }
}

/** What of a document is found, filtered, sorted and counted by. */
export function storeDocument(document: SearchDocument, textRev: string, settings: IndexSettings): StoredDocument {
  const { fields } = document
  const [a = '', b = '', c = '', ...rest] = settings.searchable.map((field) => textOf(fields[field] as FieldValue))
  const marked = filterableOf(settings).filter((field) => isMarked(field, fields[field], settings))
  return {
    ...storeValues(document, settings),
    text_rev: textRev,
    title: titleOf(a),
    a: wordsIn(a),
    b: wordsIn(b),
    c: wordsIn(c),
    d: wordsIn(rest.join(' ')),
    marks: [
      ...new Set([
        ...wordsOf(a.slice(0, MOST_LETTERS)).slice(0, MOST_FIRST_WORDS).map(firstFieldMarkOf),
        ...marked.flatMap((field) => marksOf(field, fields[field] as FieldValue)),
      ]),
    ],
    facets: keysOf(fields, settings.facets),
  }
}

function filterableOf({ filterable, facets }: IndexSettings): string[] {
  return [...new Set([...filterable, ...facets])]
}

/** Whether a value is found by its mark. A number that documents are sorted by often changes: it is looked up where it is sorted. */
export function isMarked(field: string, value: unknown, { sortable }: IndexSettings): boolean {
  return typeof value !== 'number' || !sortable.includes(field)
}

/** What a query's text is compared with, to find the document whose name is just that. */
export function titleOf(text: string): string {
  return wordsOf(text).join(' ').slice(0, LONGEST_TITLE)
}

/** A lexeme that no text has: the field has this value. Without a value it is null. */
export function markOf(field: string, value: string | number | boolean | null): string {
  const text = JSON.stringify(value)
  const short = text.length <= LONGEST_KEY ? text : `#${hash('sha256', text, 'base64url')}`
  return `\u0001${field}\u0001${short}`
}

/** A lexeme that no text has: the first field has this word. An index of words cannot tell their weights apart. */
export function firstFieldMarkOf(word: string): string {
  return `\u0002${word}`
}

/** Under which key a list of values is kept: what is compared and sorted by is single. */
export function listKeyOf(field: string): string {
  return `${field}[]`
}

function marksOf(field: string, value: FieldValue | undefined): string[] {
  if (Array.isArray(value)) return value.slice(0, MOST_ELEMENTS).map((each) => markOf(field, each))
  return [markOf(field, (value ?? null) as string | number | boolean | null)]
}

function keysOf(fields: SearchDocument['fields'], names: readonly string[]): Record<string, unknown> {
  const keys: Record<string, unknown> = {}
  for (const field of names) {
    const value = fields[field] as FieldValue | undefined
    if (value === undefined || value === null) continue
    if (Array.isArray(value)) keys[listKeyOf(field)] = value.slice(0, MOST_ELEMENTS).map(shorten)
    else keys[field] = shorten(value)
  }
  return keys
}

/** Whether a key holds all of a value. */
export function isKept(value: unknown): boolean {
  return typeof value !== 'string' || value.length < LONGEST_KEY
}

function shorten(value: unknown): unknown {
  return typeof value === 'string' ? value.slice(0, LONGEST_KEY).toWellFormed() : value
}

function wordsIn(text: string): string {
  return wordsOf(text.slice(0, MOST_LETTERS)).join(' ')
}

/** A field as a text, as it is searched and highlighted. */
export function textOf(value: FieldValue | undefined): string {
  if (value === undefined || value === null) return ''
  return Array.isArray(value) ? value.join(', ') : String(value)
}
