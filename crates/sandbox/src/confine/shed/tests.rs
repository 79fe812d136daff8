use super::private_heap;

#[test]
fn only_copied_heap_is_let_go() {
    let heap = private_heap(b"5600-5800 rw-p 00000000 00:00 0                          [heap]");
    assert_eq!(heap, Some(0x5600..0x5800));
    assert_eq!(
        private_heap(b"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 "),
        Some(0x7f00_0000_0000..0x7f00_0010_0000)
    );
    assert_eq!(
        private_heap(b"7f0000000000-7f0000100000 rw-p 00000000 00:00 0 [stack]"),
        None
    );
    assert_eq!(
        private_heap(b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 "),
        None,
        "small: libc's own data"
    );
    assert_eq!(
        private_heap(b"7f0000000000-7f0000100000 rw-p 00000000 fe:00 123 /usr/lib/libc.so.6"),
        None
    );
    assert_eq!(private_heap(b"7f0000000000-7f0000100000 r--p 00000000 00:00 0 "), None);
    assert_eq!(private_heap(b"7f0000000000-7f0000100000 rw-s 00000000 00:00 0 "), None);
}
