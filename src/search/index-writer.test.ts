import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AccessError, ConnectionError, SqlError } from '../errors.ts'
import { IndexLostError, isOfDocuments } from './index-writer.ts'
import { DefinitionError } from './projection.ts'

const withCode = (code: string, cause?: Error) => Object.assign(new Error('of a client', { cause }), { code })

test('documents are blamed for what a projection says of them, and for values that PostgreSQL refuses', () => {
  const errors = [
    new Error('no such city'),
    new TypeError('cannot read properties of undefined'),
    new SqlError('value out of range', '22003', {}, undefined),
    withCode('22P02'),
    withCode('ERR_INVALID_ARG_TYPE'),
  ]
  for (const error of errors) assert.equal(isOfDocuments(error), true, error.message)
})

test('documents are not blamed for outages, wrong statements and definitions, whichever client tells of them', () => {
  const errors: unknown[] = [
    new ConnectionError('gone'),
    new AccessError('not permitted', {}, undefined, 'postgres_refused'),
    new DefinitionError('no list'),
    new IndexLostError('lost'),
    new SqlError('no such table', '42P01', {}, undefined),
    new SqlError('canceled', '57014', {}, undefined),
    withCode('ECONNREFUSED'),
    withCode('57P01'),
    withCode('42703'),
    new TypeError('fetch failed', { cause: withCode('ETIMEDOUT') }),
    new Error('Failed query', { cause: withCode('53300') }),
    'a text',
  ]
  for (const error of errors) assert.equal(isOfDocuments(error), false, String(error))
})
