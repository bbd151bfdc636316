/** `redis://user:password@host` -> `redis://***@host`. */
export function maskUrls(text: string): string {
  return text.replaceAll(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@"']+@/gi, '$1***@')
}
