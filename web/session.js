/**
 * Session of this page. The token of a link stands behind `#`, which no server and no log gets; it is exchanged at once
 * for a session, and taken out of the address.
 */

const key = 'parentfs-session'
let session = read()

export const allowsActions = () => session?.allowsActions === true
export const hasSession = () => session !== null

/** The header of every question. */
export function authorization() {
  return session ? { authorization: `Bearer ${session.token}` } : {}
}

/** Exchange the token of the address, if it has one. @returns why it failed, or null */
export async function redeemLink() {
  const { hash } = location
  if (!hash.startsWith('#token=')) return null
  history.replaceState(null, '', `${location.pathname}${location.search}#/overview`)
  return logIn(hash)
}

/** @param said a token, or a link that ends with one; base64 has `+`, `/` and `=`. @returns why it failed, or null */
export async function logIn(said) {
  const inLink = /#token=(.*)$/.exec(said.trim())
  const token = inLink ? decoded(inLink[1]) : said.trim()
  try {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch('api/session', { method: 'POST', headers, body: JSON.stringify({ token }) })
    const body = await answer.json()
    if (!answer.ok) return body.message
    session = body
    sessionStorage.setItem(key, JSON.stringify(body))
    return null
  } catch {
    return 'The page does not answer. Is "parentfs web" still running?'
  }
}

/** Browsers write some characters of an address as `%XX`; text that is no such code stays as it is. */
export function decoded(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export function dropSession() {
  session = null
  sessionStorage.removeItem(key)
}

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? 'null')
    return kept && kept.endMs > Date.now() ? kept : null
  } catch {
    return null
  }
}
