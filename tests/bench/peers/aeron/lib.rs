// SPDX-License-Identifier: Apache-2.0
//! Aeron's C client and C media driver over ipc, exclusive publications. Messages that fit the
//! largest MTU are claimed and filled in the log; larger ones are offered from a buffer, in
//! fragments, and put together again. Aeron polls only: in a fan, who would block yields the CPU.
use core::ffi::{c_char, c_int, c_void};
use core::ptr::{null, null_mut};
use rusteron_client::bindings::*;
use rusteron_media_driver::bindings as driver;
use std::ffi::{CStr, CString};

type OnMessage = extern "C" fn(*mut c_void, *const c_void);

const MTU: usize = 65504;
const FRAME_BYTES: usize = 32;
const TERM_MIN: usize = 16 << 20;
const MESSAGES_PER_TERM: usize = 8; // a message is an eighth of a term at most
const STREAM: i32 = 1001;
const DRIVER_WAIT_MS: u64 = 20000;

#[repr(C)]
pub struct Options {
    name: *const c_char,
    directory: *const c_char,
    size: u32,
    slots: u32,
    publishers: u32,
    subscribers: u32,
    number: u32,
    block: bool,
    lossy: bool,
}

pub struct Sender {
    publication: *mut aeron_exclusive_publication_t,
    claim: aeron_buffer_claim_t,
    size: usize,
    buffer: Vec<u64>, // of messages that are not claimed
    block: bool,
}

pub struct Receiver {
    subscription: *mut aeron_subscription_t,
    assembler: *mut aeron_fragment_assembler_t,
    fragments: usize, // of a message
    block: bool,
    on_message: Option<OnMessage>,
    context: *mut c_void,
    count: u32,
}

static mut CLIENT: *mut aeron_t = null_mut();

fn fail(what: &str) -> ! {
    let text = unsafe { CStr::from_ptr(aeron_errmsg()) };
    eprintln!("bench: aeron: {what}: {}", text.to_string_lossy());
    std::process::exit(1);
}

fn must(result: c_int, what: &str) {
    if result < 0 {
        fail(what);
    }
}

fn idle(block: bool) {
    if block {
        std::thread::yield_now();
    } else {
        core::hint::spin_loop();
    }
}

/// The name is a channel's alias; "there" and "back" are two streams.
fn channel(options: &Options) -> (CString, i32) {
    let size = options.size as usize;
    let term = TERM_MIN.max(size.next_power_of_two() * MESSAGES_PER_TERM);
    let name = unsafe { CStr::from_ptr(options.name) }.to_str().unwrap();
    let stream = STREAM + name.ends_with("back") as i32;
    (CString::new(format!("aeron:ipc?term-length={term}|mtu={MTU}")).unwrap(), stream)
}

#[no_mangle]
pub extern "C" fn shim_refuses(options: &Options, fan: bool, _batch: u32) -> *const c_char {
    if options.block && !fan {
        c"polls only".as_ptr()
    } else if options.lossy {
        c"a slow subscriber holds the publisher".as_ptr()
    } else {
        null()
    }
}

#[no_mangle]
pub extern "C" fn shim_has_daemon() -> bool {
    true
}

fn driver_must(result: c_int, what: &str) {
    if result < 0 {
        let text = unsafe { CStr::from_ptr(driver::aeron_errmsg()) };
        eprintln!("bench: aeron driver: {what}: {}", text.to_string_lossy());
        std::process::exit(1);
    }
}

fn aeron_directory(directory: *const c_char) -> CString {
    let directory = unsafe { CStr::from_ptr(directory) }.to_str().unwrap();
    CString::new(format!("{directory}/aeron")).unwrap()
}

#[no_mangle]
pub extern "C" fn shim_daemon(directory: *const c_char) {
    let directory = aeron_directory(directory);
    unsafe {
        let mut context = null_mut();
        driver_must(driver::aeron_driver_context_init(&mut context), "context");
        driver::aeron_driver_context_set_dir(context, directory.as_ptr());
        driver::aeron_driver_context_set_threading_mode(
            context,
            driver::aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED,
        );
        driver::aeron_driver_context_set_print_configuration(context, false);
        let mut running = null_mut();
        driver_must(driver::aeron_driver_init(&mut running, context), "init");
        driver_must(driver::aeron_driver_start(running, true), "start");
        loop {
            let work = driver::aeron_driver_main_do_work(running);
            driver::aeron_driver_main_idle_strategy(running, work);
        }
    }
}

#[no_mangle]
pub extern "C" fn shim_start(options: &Options) {
    let directory = aeron_directory(options.directory);
    unsafe {
        let mut context = null_mut();
        must(aeron_context_init(&mut context), "context");
        must(aeron_context_set_dir(context, directory.as_ptr()), "directory");
        must(aeron_context_set_driver_timeout_ms(context, DRIVER_WAIT_MS), "time-out");
        let mut client = null_mut();
        must(aeron_init(&mut client, context), "init");
        must(aeron_start(client), "start");
        CLIENT = client;
    }
}

#[no_mangle]
pub extern "C" fn shim_sender_open(options: &Options) -> *mut Sender {
    let (uri, stream) = channel(options);
    let size = options.size as usize;
    let buffer = if size > MTU - FRAME_BYTES { vec![0; size / 8] } else { Vec::new() };
    unsafe {
        let mut adding = null_mut();
        let mut publication: *mut aeron_exclusive_publication_t = null_mut();
        let added =
            aeron_async_add_exclusive_publication(&mut adding, CLIENT, uri.as_ptr(), stream);
        must(added, "publication");
        while publication.is_null() {
            let polled = aeron_async_add_exclusive_publication_poll(&mut publication, adding);
            must(polled, "publication");
            idle(true);
        }
        let claim = aeron_buffer_claim_t { frame_header: null_mut(), data: null_mut(), length: 0 };
        let block = options.block;
        Box::into_raw(Box::new(Sender { publication, claim, size, buffer, block }))
    }
}

/// Subscribers wait in their open until they are connected.
#[no_mangle]
pub extern "C" fn shim_sender_ready(sender: &mut Sender) {
    while !unsafe { aeron_exclusive_publication_is_connected(sender.publication) } {
        idle(true);
    }
}

fn wait_for_room(position: i64, block: bool) {
    if position == AERON_PUBLICATION_CLOSED as i64
        || position == AERON_PUBLICATION_MAX_POSITION_EXCEEDED as i64
        || position == AERON_PUBLICATION_ERROR as i64
    {
        fail("publish");
    }
    idle(block);
}

#[no_mangle]
pub extern "C" fn shim_loan(sender: &mut Sender) -> *mut c_void {
    if !sender.buffer.is_empty() {
        return sender.buffer.as_mut_ptr().cast();
    }
    loop {
        let position = unsafe {
            aeron_exclusive_publication_try_claim(
                sender.publication, sender.size, &mut sender.claim)
        };
        if position > 0 {
            return sender.claim.data.cast();
        }
        wait_for_room(position, sender.block);
    }
}

#[no_mangle]
pub extern "C" fn shim_publish(sender: &mut Sender) {
    if sender.buffer.is_empty() {
        must(unsafe { aeron_buffer_claim_commit(&mut sender.claim) }, "commit");
        return;
    }
    loop {
        let data = sender.buffer.as_ptr().cast();
        let position = unsafe {
            aeron_exclusive_publication_offer(
                sender.publication, data, sender.size, None, null_mut())
        };
        if position > 0 {
            return;
        }
        wait_for_room(position, sender.block);
    }
}

/// The client goes with its process.
#[no_mangle]
pub extern "C" fn shim_sender_close(sender: *mut Sender) {
    drop(unsafe { Box::from_raw(sender) });
}

unsafe extern "C-unwind" fn on_fragment(
    context: *mut c_void,
    data: *const u8,
    _length: usize,
    _header: *mut aeron_header_t,
) {
    let receiver = &mut *(context as *mut Receiver);
    receiver.on_message.unwrap()(receiver.context, data.cast());
    receiver.count += 1;
}

#[no_mangle]
pub extern "C" fn shim_receiver_open(options: &Options) -> *mut Receiver {
    let (uri, stream) = channel(options);
    let size = options.size as usize;
    let mut receiver = Box::new(Receiver {
        subscription: null_mut(),
        assembler: null_mut(),
        fragments: size.div_ceil(MTU - FRAME_BYTES),
        block: options.block,
        on_message: None,
        context: null_mut(),
        count: 0,
    });
    unsafe {
        let mut adding = null_mut();
        let added = aeron_async_add_subscription(
            &mut adding, CLIENT, uri.as_ptr(), stream, None, null_mut(), None, null_mut());
        must(added, "subscription");
        while receiver.subscription.is_null() {
            let polled = aeron_async_add_subscription_poll(&mut receiver.subscription, adding);
            must(polled, "subscription");
            idle(true);
        }
        while aeron_subscription_image_count(receiver.subscription) < options.publishers as c_int {
            idle(true);
        }
        let self_pointer: *mut Receiver = &mut *receiver;
        must(aeron_fragment_assembler_create(&mut receiver.assembler, Some(on_fragment),
                                             self_pointer.cast()), "assembler");
    }
    Box::into_raw(receiver)
}

#[no_mangle]
pub extern "C" fn shim_receive(
    receiver: *mut Receiver,
    most: u32,
    wait: bool,
    on_message: OnMessage,
    context: *mut c_void,
) -> u32 {
    unsafe {
        (*receiver).on_message = Some(on_message);
        (*receiver).context = context;
        (*receiver).count = 0;
        let whole = (*receiver).fragments == 1;
        let fragments = most as usize * (*receiver).fragments;
        // The binding declares the same C function type as one that does not unwind.
        let assemble: aeron_fragment_handler_t =
            core::mem::transmute(aeron_fragment_assembler_handler as *const ());
        let handler = if whole { Some(on_fragment as _) } else { assemble };
        let argument = if whole { receiver.cast() } else { (*receiver).assembler.cast() };
        loop {
            let polled = aeron_subscription_poll(
                (*receiver).subscription, handler, argument, fragments);
            must(polled, "poll");
            if (*receiver).count > 0 || !wait {
                return (*receiver).count;
            }
            if polled == 0 {
                idle((*receiver).block);
            }
        }
    }
}

#[no_mangle]
pub extern "C" fn shim_give_back(_receiver: *mut Receiver) {}

#[no_mangle]
pub extern "C" fn shim_receiver_close(receiver: *mut Receiver) {
    drop(unsafe { Box::from_raw(receiver) });
}
