/** Errors to errnos. */
import { constants } from 'node:os'
import t from 'tap'
import { CacheError, type ErrorCode, errorCodes } from '../../../src/base/errors.ts'
import { errnoOf } from '../../../src/fuse/filesystem/errno.ts'
import { FsError, type FsErrorCode, fsErrorCodes } from '../../../src/fuse/filesystem/fs-error.ts'

const errno = constants.errno

t.test('every code of either list has an errno', async t => {
  for (const code of Object.keys(errorCodes) as ErrorCode[]) t.ok(errnoOf(new CacheError(code, '')) > 0, code)
  for (const code of Object.keys(fsErrorCodes) as FsErrorCode[]) t.ok(errnoOf(new FsError(code)) > 0, code)
})

t.test('what an origin says becomes what a tool expects', async t => {
  t.equal(errnoOf(new CacheError('not-found', '')), errno.ENOENT)
  t.equal(errnoOf(new CacheError('access-denied', '')), errno.EACCES)
  for (const code of [
    'origin-failed',
    'origin-timeout',
    'origin-unreachable',
    'origin-protocol',
    'overloaded',
  ] as const) {
    t.equal(errnoOf(new CacheError(code, '')), errno.EIO, code)
  }
})

t.test('what nobody foresaw is an input/output error', async t => {
  t.equal(errnoOf(new TypeError('a bug')), errno.EIO)
  t.equal(errnoOf('text'), errno.EIO)
  t.equal(errnoOf(undefined), errno.EIO)
})
