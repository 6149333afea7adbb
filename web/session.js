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
  const match = /^#token=([\w.~-]+)/.exec(location.hash)
  if (!match) return null
  history.replaceState(null, '', `${location.pathname}${location.search}#/overview`)
  return logIn(match[1])
}

/** @returns why it failed, or null */
export async function logIn(said) {
  const token = /#token=([\w.~-]+)/.exec(said)?.[1] ?? said.trim()
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
