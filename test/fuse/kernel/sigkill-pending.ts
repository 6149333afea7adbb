/** Detection of a SIGKILL that waits for a thread. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { isKillPending, wasKilled } from '../../../src/fuse/kernel/sigkill-pending.ts'

t.test('SIGKILL pending for the thread or for its process is seen, and no other signal', async t => {
  const status = (thread: string, shared: string) =>
    `Name:\tx\nSigQ:\t0/1\nSigPnd:\t${thread}\nShdPnd:\t${shared}\nSigBlk:\tffffffffffffffff\n`
  const none = '0000000000000000'
  const kill = '0000000000000100'
  const others = 'fffffffffffffeff'
  t.equal(isKillPending(status(none, none)), false)
  t.equal(isKillPending(status(kill, none)), true)
  t.equal(isKillPending(status(none, kill)), true)
  t.equal(isKillPending(status(others, others)), false)
  t.equal(isKillPending(''), false)
})

t.test('the fields that are looked for are those that this kernel writes', async t => {
  const status = readFileSync('/proc/self/status', 'latin1')
  t.match(status, /^SigPnd:\t[0-9a-f]{16}$/m)
  t.match(status, /^ShdPnd:\t[0-9a-f]{16}$/m)
})

t.test('who lives, who is unknown and who is nobody was not killed', async t => {
  t.equal(wasKilled(process.pid), false)
  t.equal(wasKilled(0), false)
  t.equal(wasKilled(2 ** 31 - 1), false)
})
