/**
 * Live events. Pages of one browser share one stream: the page that holds a lock reads it and tells the others. A
 * browser opens six connections to a server, and pages would wait for each other.
 */
import { askStream, split } from './api.js'

const retryMs = 1000
const silenceMsMax = 8000
const hasGone = 'The daemon has gone. Waiting for the next one.'

/** @param on `{ history(data), snapshot(data), gone(message) }` */
export function follow(on) {
  const scope = `parentfs ${location.pathname}`
  const channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(scope) : null
  let [heardMs, latest, isLeading] = [performance.now(), null, false]
  const hear = ({ name, data }) => {
    heardMs = performance.now()
    if (name === 'hello') {
      if (isLeading && latest) channel.postMessage({ name: 'history', data: latest() })
    } else on[name]?.(data)
  }
  channel?.addEventListener('message', ({ data }) => {
    if (!isLeading || data.name === 'hello') hear(data)
  })
  const tell = (name, data) => {
    on[name](data)
    channel?.postMessage({ name, data })
  }
  const lead = async () => {
    isLeading = true
    for (;;) {
      const leave = new AbortController()
      const watchdog = setInterval(() => {
        if (performance.now() - heardMs > silenceMsMax) leave.abort()
      }, retryMs)
      try {
        heardMs = performance.now()
        const { body } = await askStream(leave.signal)
        for await (const text of split(body, '\n\n', new Error(hasGone))) {
          heardMs = performance.now()
          const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(text) ?? []
          if (name === 'history' || name === 'snapshot') tell(name, JSON.parse(data))
        }
        tell('gone', hasGone)
      } catch (error) {
        if (error.status === 401) break
        tell('gone', error.name === 'AbortError' ? 'The daemon says nothing. Asking again.' : error.message)
      } finally {
        clearInterval(watchdog)
      }
      await new Promise(resolve => setTimeout(resolve, retryMs))
    }
    isLeading = false
  }
  setInterval(() => {
    if (!isLeading && performance.now() - heardMs > silenceMsMax) on.gone('No news for some seconds. Waiting.')
  }, retryMs)
  channel?.postMessage({ name: 'hello' })
  if (channel && navigator.locks) void navigator.locks.request(scope, lead)
  else void lead()
  /** What pages that come later are told. */
  return historyOf => {
    latest = historyOf
  }
}
