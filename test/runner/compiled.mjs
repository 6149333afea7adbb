/**
 * Has Node run build/test/x.js where `npx tap` names test/x.ts: loaded into each test process, before the test.
 * Source: the Node.js manual, "Modules: node:module API", customization hooks.
 */
import { register } from 'node:module'
import { isMainThread } from 'node:worker_threads'

const top = new URL('../../', import.meta.url).href

// Node asks hooks in a thread of their own, which loads this file once more.
if (isMainThread) register(import.meta.url)

export function resolve(specifier, context, next) {
  const isTest = specifier.startsWith(`${top}test/`) && specifier.endsWith('.ts')
  return next(isTest ? `${top}build/${specifier.slice(top.length, -'.ts'.length)}.js` : specifier, context)
}
