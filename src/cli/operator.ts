import { hostname, userInfo } from 'node:os'

/** Who wishes something, for those who look later. */
export function operatorName(): string {
  return `${userName()}@${hostname()}`
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    return String(process.getuid?.() ?? 'unknown') // a user without a name, as in many containers
  }
}
