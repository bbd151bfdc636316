import type pg from 'pg'
import { ConfigError } from '../errors.ts'

/** Loads `pg`, which only those install who use PostgreSQL. */
export async function loadDriver(): Promise<typeof pg> {
  try {
    return (await import('pg')).default
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    if (code !== 'ERR_MODULE_NOT_FOUND' || !message.includes("'pg'")) throw cause
    throw new ConfigError('PostgreSQL (postgres.url) needs the package pg, which is not installed: npm install pg', {
      option: 'postgres.url',
      package: 'pg',
    })
  }
}

const INT8 = 20
const INT8_LIST = 1016

type Parse = (text: string) => unknown

/** Values as JavaScript has them: as `pg` does it, but integers of 64 bits as numbers, where others would be texts. */
export function typesOf({ types }: typeof pg): { getTypeParser(oid: number, format?: 'text' | 'binary'): Parse } {
  const parserOf = types.getTypeParser as (oid: number, format?: 'text' | 'binary') => Parse
  const parseTexts = parserOf(INT8_LIST)
  return {
    getTypeParser(oid, format) {
      if (format === 'binary') return parserOf(oid, format)
      if (oid === INT8) return parseInteger
      if (oid === INT8_LIST) return (text) => toIntegers(parseTexts(text) as Nested<string>)
      return parserOf(oid, format)
    },
  }
}

/** Refuses what a number cannot hold: the next integer beside it would look the same. */
function parseInteger(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value))
    throw new RangeError(`The integer ${text} is too large for a number; select it as text`)
  return value
}

type Nested<T> = readonly (T | null | Nested<T>)[]

function toIntegers(texts: Nested<string>): Nested<number> {
  return texts.map((each) => (typeof each === 'string' ? parseInteger(each) : each && toIntegers(each)))
}
