/** Transcripts of the walk: commands out of a page, and their output back into it. */
import t from 'tap'
import { commandsOf, resultsOf, scriptOf, withResults } from '../../bench/walk/transcript.ts'
import { run } from '../fixtures/run.ts'

const page = '# A walk\n\n```console\n# one\nold\n# two\n```\n\ntext\n\n```console\n# three\n```\n\n| part 1 | 9 |\n'

t.test('commands are the lines of a block that begin with #', async t => {
  t.same(commandsOf(page), [['one', 'two'], ['three']])
})

t.test('each command runs in one shell, and the first that fails is the last', async t => {
  const commands = ['cd /; echo first', 'pwd; echo aside >&2', 'false', 'echo never']
  const script = scriptOf(commands.slice(0, 2)).replace('mkdir -p /srv/parents\ncd /root\n', '')
  const walked = resultsOf(commands.slice(0, 2), (await run('sh', '-c', script)).toString())
  t.match(walked, [
    { command: commands[0]!, output: 'first' },
    { command: commands[1]!, output: '/\naside' },
  ])
  const failed = resultsOf(commands, '-- walked -- 0 0 1\n-- walked -- 1 0 1\nno\n-- walked -- 2 1 3\n')
  t.match(failed, [{ output: '' }, { output: '' }, { command: 'false', output: 'no', ms: 3 }])
  t.equal(failed.length, 3)
  t.match(resultsOf(['cut off'], 'half a lin'), [{ command: 'cut off', output: 'half a lin' }])
})

t.test('the page gets the output of one part, and its row of the times', async t => {
  const compiled = ['  CXX  a', '  CXX  b', '  CXX  c', '  CXX  d', '  CXX  e', '  CXX  f', '  LD   g'].join('\n')
  const walked = [
    { command: 'one', output: '', ms: 900 },
    { command: 'two', output: `${compiled}\ndone`, ms: 2100 },
  ]
  const text = withResults(page, 0, walked, { load: 1.2 })
  t.match(text, '# one\n# two\n  CXX  a\n  … 4 lines …\n  CXX  f\n  LD   g\ndone\n```', 'runs of lines alike are told')
  t.match(text, /^\| part 1 \| 2 \| 3 s \| `two` 2\.1 s, `one` 0\.9 s \| 1 \|$/m)
  t.match(text, '# three\n```', 'the other part is as it was')
  t.match(withResults(page, 1, [{ command: 'three', output: 'x\ry', ms: 1 }], { load: 0 }), '# three\ny\n```')
})
