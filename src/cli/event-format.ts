import type { HeardEvent } from '../events/events.ts'
import { UsageError } from './cli-error.ts'
import type { Output } from './output.ts'

export type EventFormat = 'short' | 'full' | 'json'

const LONGEST_DATA = 200

export function requireFormat(format: string | undefined, isJson: boolean): EventFormat {
  if (isJson || format === undefined) return isJson ? 'json' : 'short'
  if (format === 'short' || format === 'full' || format === 'json') return format
  throw new UsageError(`There is no format ${format}.`, 'Known are short, full and json.')
}

/** An event for people, on one line or several; or as JSON. */
export function formatEvent(heard: HeardEvent, format: EventFormat, output: Output): string {
  if (format === 'json') return JSON.stringify(heard)
  return format === 'short' ? shortOf(heard, output) : fullOf(heard, output)
}

function shortOf({ topic, event }: HeardEvent, output: Output): string {
  const about = [event.site, event.doctype, event.docname].filter((part) => part !== null).join(':')
  const data = JSON.stringify(event.data)
  const shown = data.length > LONGEST_DATA ? `${data.slice(0, LONGEST_DATA)}…` : data
  const parts = [
    output.style('dim', event.timestamp),
    output.style('cyan', topic),
    output.style('bold', printable(event.event_type)),
    printable(about),
    event.data === null ? '' : printable(shown),
  ]
  return parts.filter((part) => part !== '').join('  ')
}

function fullOf({ topic, event }: HeardEvent, output: Output): string {
  const { event_type, timestamp, data, prev_data, ...rest } = event
  const head = `${output.style('dim', timestamp)}  ${output.style('cyan', topic)}  ${output.style('bold', printable(event_type))}`
  const fields = Object.entries({ ...rest, data, prev_data }).filter(([, value]) => value !== null)
  const lines = fields.map(([name, value]) => {
    const text = typeof value === 'string' ? value : JSON.stringify(value, undefined, 2).replaceAll('\n', '\n    ')
    return `  ${name.padEnd(10)}  ${printable(text)}`
  })
  return [head, ...lines].join('\n')
}

/** Whoever made an event must not write to the terminal of who looks at it. */
function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what it is about
  return text.replaceAll(/[\0-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })
}
