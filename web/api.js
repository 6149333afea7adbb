/** Questions to the daemon. A failure is an Error with a sentence for people, and `status`. */
import { authorization, dropSession } from './session.js'

let onSessionLost = () => {}

/** Hear when a session is not good any more. */
export function whenSessionIsLost(listener) {
  onSessionLost = listener
}

export async function get(what, params, signal) {
  const query = new URLSearchParams(params)
  return (await ask(`api/${what}?${query}`, { headers: authorization(), signal })).json()
}

/** Pin or unpin; or promote or evict with lines of progress. @returns the result */
export async function act(action, image, onProgress, signal) {
  const headers = { ...authorization(), 'content-type': 'application/json' }
  const answer = await ask(`api/${action}`, { method: 'POST', headers, body: JSON.stringify({ image }), signal })
  if (!answer.headers.get('content-type').startsWith('application/x-ndjson')) return answer.json()
  const stopped = new Error('The daemon stopped before it was done: do it again.')
  for await (const text of split(answer.body, '\n', stopped)) {
    const line = JSON.parse(text)
    if (line.type === 'done') return line.result
    if (line.type === 'failed') throw new Error(line.message)
    if (line.progress) onProgress(line.progress)
  }
  throw stopped
}

/** Pieces of a stream of text. @throws `cut` where it breaks off: the browser's own words are no sentence */
export async function* split(body, separator, cut) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read().catch(error => {
      throw error.name === 'AbortError' ? error : cut
    })
    if (done) return
    const pieces = (rest + value).split(separator)
    rest = pieces.pop()
    for (const piece of pieces) if (piece !== '') yield piece
  }
}

async function ask(path, options) {
  let answer
  try {
    answer = await fetch(path, { cache: 'no-store', ...options })
  } catch (error) {
    if (error.name === 'AbortError') throw error
    throw Object.assign(new Error('No answer: is "parentfs web", or the daemon, still running?'), { status: 0 })
  }
  if (answer.ok) return answer
  const { message } = await answer.json().catch(() => ({ message: `the answer was ${answer.status}` }))
  if (answer.status === 401) {
    dropSession()
    onSessionLost(message)
  }
  throw Object.assign(new Error(message), { status: answer.status })
}

export const askStream = signal => ask('api/events', { headers: authorization(), signal })
