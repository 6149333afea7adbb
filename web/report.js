/** A report that is asked for now and then while its view is open: the plan, the fleet, locations of an image. */
import { get } from './api.js'

/** @param show hears the report; null: this mount has none. @param complain hears why there was no answer */
export function watchReport(name, everyMs, show, complain, params = {}) {
  let [timer, isClosed] = [0, false]
  async function load() {
    clearTimeout(timer)
    try {
      const answer = await get(name, params)
      if (!isClosed) show(answer[name])
    } catch (error) {
      if (!isClosed) complain(error.message)
    }
    if (!isClosed) timer = setTimeout(() => document.hidden || load(), everyMs)
  }
  const visible = () => document.hidden || void load()
  document.addEventListener('visibilitychange', visible)
  void load()
  return () => {
    isClosed = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', visible)
  }
}
