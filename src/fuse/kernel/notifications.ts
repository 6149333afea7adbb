/**
 * Notifications to the kernel, as bytes for the device.
 *
 * The write of one waits for locks of the kernel. A request that waits for us may hold them: so no thread that answers
 * requests may make it. Source: libfuse, fuse_lowlevel.h, fuse_lowlevel_notify_inval_inode and _inval_entry.
 */
import { replyOf } from './reply-writer.ts'

/**
 * Source: Linux include/uapi/linux/fuse.h, struct fuse_out_header: a notification has unique 0, and its code as error.
 */
const headerBytes = 16

/** Source: Linux include/uapi/linux/fuse.h, enum fuse_notify_code. */
const codes = { invalidateInode: 2, invalidateEntry: 3, resend: 7 } as const

/** Send the unanswered requests again (7.40). */
export const notifyResend = codes.resend

/**
 * Forget the attributes of a node, and none of its pages (offset -1). The write fails with ENOENT when the kernel knows
 * no such node. Source: Linux fs/fuse/inode.c, fuse_reverse_inval_inode.
 */
export function invalidateAttributes(nodeId: bigint): Uint8Array {
  return notification(codes.invalidateInode, 24).u64(nodeId).u64(-1n).u64(0n).bytes
}

/**
 * Forget a name in a directory. Open files of its node stay. The write fails with ENOENT when the kernel knows no such
 * name. Source: Linux fs/fuse/dir.c, fuse_reverse_inval_entry; include/uapi/linux/fuse.h, struct
 * fuse_notify_inval_entry_out.
 */
export function invalidateName(directoryId: bigint, name: string): Uint8Array {
  const encoded = Buffer.from(name)
  return notification(codes.invalidateEntry, 16 + encoded.length + 1)
    .u64(directoryId)
    .u32(encoded.length)
    .u32(0)
    .raw(encoded).bytes
}

function notification(code: number, bodyBytes: number) {
  const bytes = headerBytes + bodyBytes
  return replyOf(bytes).u32(bytes).u32(code).u64(0n)
}
