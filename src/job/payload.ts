import type { StandardSchemaV1 } from '@standard-schema/spec'
import { PayloadError } from '../errors.ts'
import type { Job } from './job.ts'

/**
 * The JSON text of a payload, checked against the job's schema as JSON will carry it (a Date that passes as an object fails as a text,
 * so that the caller learns it, not the worker). What is stored is the input: transforms are not idempotent, the worker parses again.
 * Throws PayloadError, or returns a promise that does when the schema is asynchronous.
 */
export function encodePayload(
  job: Job<never, unknown>,
  payload: unknown,
  limitBytes: number,
  limitOption = 'maxPayloadBytes',
): string | Promise<string> {
  let text: string | undefined
  try {
    text = JSON.stringify(payload)
  } catch (cause) {
    throw new PayloadError(
      'payload_invalid',
      `The payload of ${job.type} cannot be written as JSON: ${cause instanceof Error ? cause.message : 'its toJSON threw'}`,
      { type: job.type },
      cause,
    )
  }
  if (text === undefined) {
    throw new PayloadError(
      'payload_invalid',
      `The payload of ${job.type} must be a JSON value; found ${typeof payload}. For none, pass null.`,
      {
        type: job.type,
      },
    )
  }
  // A UTF-16 unit takes at most three bytes: most payloads need no count.
  if (text.length * 3 > limitBytes) {
    const bytes = Buffer.byteLength(text)
    if (bytes > limitBytes) {
      throw new PayloadError(
        'payload_too_large',
        `The payload of ${job.type} has ${bytes} bytes; the limit is ${limitBytes} (option ${limitOption}). Store it elsewhere and pass a reference.`,
        { type: job.type, bytes, limit: limitBytes },
      )
    }
  }
  if (!job.schema) return text
  const carried = text
  const result = job.schema['~standard'].validate(JSON.parse(carried))
  if (result instanceof Promise) return result.then((settled) => accept(job, settled, carried))
  return accept(job, result, carried)
}

function accept(job: Job<never, unknown>, result: StandardSchemaV1.Result<unknown>, text: string): string {
  if (result.issues) throw invalidPayload(job.type, result.issues)
  return text
}

/** The error for a payload that a schema refused. Its text names paths and rules, never values: payloads may hold secrets. */
export function invalidPayload(type: string, issues: readonly StandardSchemaV1.Issue[]): PayloadError {
  const found = issues.slice(0, 10).map(({ message, path }) => {
    const at = path?.map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
    return at ? `${at}: ${message}` : message
  })
  return new PayloadError('payload_invalid', `The payload of ${type} does not fit its schema: ${found.join('; ')}`, {
    type,
    issues: found,
  })
}
