/**
 * Challenges of a registry: the header WWW-Authenticate of a 401. Pure.
 *
 * Source: RFC 9110 11.6.1; Docker "Token Authentication Specification" (realm, service, scope).
 */
import type { Headers } from '../http/protocol/response-headers.ts'

export type Challenge =
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: string; readonly service: string | null; readonly scope: string | null }

/** The challenge that we can answer, Bearer before Basic; null: there is none. */
export function challengeOf(headers: Headers): Challenge | null {
  const given = headers['www-authenticate']
  const texts = given === undefined ? [] : Array.isArray(given) ? given : [given]
  const found = texts.flatMap(challengesIn)
  return found.find(({ kind }) => kind === 'bearer') ?? found[0] ?? null
}

function challengesIn(text: string): Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = []
  // A word with no `=` behind it begins a challenge; all else is a parameter of the one before.
  const tokens = /([\w!#$%&'*+.^`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/g
  for (const [, name, quoted, plain] of text.matchAll(tokens)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain
    if (value === undefined) found.push({ scheme: name!.toLowerCase(), parameters: new Map() })
    else found.at(-1)?.parameters.set(name!.toLowerCase(), value)
  }
  return found.flatMap(({ scheme, parameters }): Challenge[] => {
    if (scheme === 'basic') return [{ kind: 'basic' }]
    const realm = parameters.get('realm')
    if (scheme !== 'bearer' || realm === undefined) return []
    return [
      { kind: 'bearer', realm, service: parameters.get('service') ?? null, scope: parameters.get('scope') ?? null },
    ]
  })
}
