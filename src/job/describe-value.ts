const LONGEST = 100

/** A value in a few words for an error message. Never throws, whatever it is (JSON cannot carry a bigint or a cycle, and shows NaN as null). */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > LONGEST ? `${value.slice(0, LONGEST)}…` : value)
    case 'bigint':
      return `${value}n`
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value)
        ? 'a list'
        : value instanceof Date
          ? Number.isNaN(value.getTime())
            ? 'an invalid Date'
            : 'a Date'
          : 'an object'
    default:
      return `a ${typeof value}`
  }
}
