/** Suggestions for a mistyped word. */
import t from 'tap'
import { nearest } from '../../../src/daemon/config/did-you-mean.ts'

const words = ['capacity', 'directory', 'url', 'log', 'blockSize']

t.test('the nearest word within a third of its letters', async t => {
  const cases: [string, string | null][] = [
    ['capacity', 'capacity'],
    ['capcity', 'capacity'],
    ['cpaacity', 'capacity'],
    ['blocksize', 'blockSize'],
    ['dirctori', 'directory'],
    ['ulr', 'url'],
    ['lgo', 'log'],
    ['xyz', null],
    ['cap', null],
    ['', null],
  ]
  for (const [typed, meant] of cases) t.equal(nearest(typed, words), meant, typed)
  t.equal(nearest('url', []), null)
})
