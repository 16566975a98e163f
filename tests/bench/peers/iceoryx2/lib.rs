// SPDX-License-Identifier: Apache-2.0
//! iceoryx2: publish-subscribe of slices of u64. Lossless: the publisher retries until delivered;
//! lossy: safe overflow. Who blocks waits for an event, which the publisher sends with each
//! message: iceoryx2's own way; it does not tell a publisher whether anyone sleeps.
use core::ffi::{c_char, c_void};
use iceoryx2::port::{listener::Listener, notifier::Notifier};
use iceoryx2::port::{publisher::Publisher, subscriber::Subscriber};
use iceoryx2::prelude::*;
use iceoryx2::sample::Sample;
use iceoryx2::sample_mut::SampleMut;
use iceoryx2::service::port_factory::{event, publish_subscribe};
use std::ffi::CStr;

type Ipc = ipc::Service;
type OnMessage = extern "C" fn(*mut c_void, *const c_void);

const BUFFER_MAX: usize = 1024;
const ENDS_MAX: usize = 80;

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
    publisher: Publisher<Ipc, [u64], ()>,
    notifier: Option<Notifier<Ipc>>,
    service: publish_subscribe::PortFactory<Ipc, [u64], ()>,
    words: usize,
    subscribers: usize,
    loaned: Option<SampleMut<Ipc, [u64], ()>>,
}

pub struct Receiver {
    subscriber: Subscriber<Ipc, [u64], ()>,
    listener: Option<Listener<Ipc>>,
    taken: Option<Sample<Ipc, [u64], ()>>,
}

static mut NODE: Option<Node<Ipc>> = None;

fn must<T, E: core::fmt::Debug>(result: Result<T, E>, what: &str) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("bench: iceoryx2: {what}: {error:?}");
        std::process::exit(1);
    })
}

fn node() -> &'static Node<Ipc> {
    unsafe { (*core::ptr::addr_of!(NODE)).as_ref().unwrap() }
}

fn name_of(options: &Options) -> ServiceName {
    let name = unsafe { CStr::from_ptr(options.name) }.to_str().unwrap();
    must(name.try_into(), "service name")
}

fn messages(options: &Options) -> publish_subscribe::PortFactory<Ipc, [u64], ()> {
    let builder = node().service_builder(&name_of(options)).publish_subscribe::<[u64]>();
    must(
        builder
            .enable_safe_overflow(options.lossy)
            .subscriber_max_buffer_size((options.slots as usize).min(BUFFER_MAX))
            .subscriber_max_borrowed_samples(2)
            .history_size(0)
            .max_publishers(options.publishers as usize)
            .max_subscribers(options.subscribers as usize)
            .max_nodes(ENDS_MAX)
            .open_or_create(),
        "service",
    )
}

fn events(options: &Options) -> event::PortFactory<Ipc> {
    must(
        node()
            .service_builder(&name_of(options))
            .event()
            .max_notifiers(options.publishers as usize)
            .max_listeners(options.subscribers as usize)
            .max_nodes(ENDS_MAX)
            .open_or_create(),
        "event service",
    )
}

#[no_mangle]
pub extern "C" fn shim_refuses(options: &Options, _fan: bool, batch: u32) -> *const c_char {
    let _ = options;
    if batch > 1 { c"has no batches".as_ptr() } else { core::ptr::null() }
}

#[no_mangle]
pub extern "C" fn shim_has_daemon() -> bool {
    false
}

#[no_mangle]
pub extern "C" fn shim_daemon(_directory: *const c_char) {}

#[no_mangle]
pub extern "C" fn shim_start(_options: &Options) {
    set_log_level(LogLevel::Fatal);
    unsafe { NODE = Some(must(NodeBuilder::new().create::<Ipc>(), "node")) };
}

#[no_mangle]
pub extern "C" fn shim_sender_open(options: &Options) -> *mut Sender {
    let service = messages(options);
    let words = options.size as usize / 8;
    let publisher = must(
        service
            .publisher_builder()
            .initial_max_slice_len(words)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create(),
        "publisher",
    );
    let notifier =
        options.block.then(|| must(events(options).notifier_builder().create(), "notifier"));
    let subscribers = options.subscribers as usize;
    let sender = Sender { publisher, notifier, service, words, subscribers, loaned: None };
    Box::into_raw(Box::new(sender))
}

#[no_mangle]
pub extern "C" fn shim_sender_ready(sender: &mut Sender) {
    while sender.service.dynamic_config().number_of_subscribers() < sender.subscribers {
        std::thread::sleep(core::time::Duration::from_micros(20));
    }
}

#[no_mangle]
pub extern "C" fn shim_loan(sender: &mut Sender) -> *mut c_void {
    let sample = must(sender.publisher.loan_slice_uninit(sender.words), "loan");
    let sample = sender.loaned.insert(unsafe { sample.assume_init() });
    sample.payload_mut().as_mut_ptr().cast()
}

#[no_mangle]
pub extern "C" fn shim_publish(sender: &mut Sender) {
    must(sender.loaned.take().unwrap().send(), "send");
    if let Some(notifier) = &sender.notifier {
        must(notifier.notify(), "notify");
    }
}

#[no_mangle]
pub extern "C" fn shim_sender_close(sender: *mut Sender) {
    drop(unsafe { Box::from_raw(sender) });
}

#[no_mangle]
pub extern "C" fn shim_receiver_open(options: &Options) -> *mut Receiver {
    let listener =
        options.block.then(|| must(events(options).listener_builder().create(), "listener"));
    let subscriber = must(messages(options).subscriber_builder().create(), "subscriber");
    Box::into_raw(Box::new(Receiver { subscriber, listener, taken: None }))
}

#[no_mangle]
pub extern "C" fn shim_receive(
    receiver: &mut Receiver,
    _most: u32,
    wait: bool,
    on_message: OnMessage,
    context: *mut c_void,
) -> u32 {
    loop {
        if let Some(sample) = must(receiver.subscriber.receive(), "receive") {
            on_message(context, sample.payload().as_ptr().cast());
            receiver.taken = Some(sample);
            return 1;
        }
        if !wait {
            return 0;
        }
        if let Some(listener) = &receiver.listener {
            must(listener.blocking_wait(|_| {}), "wait");
        }
    }
}

#[no_mangle]
pub extern "C" fn shim_give_back(receiver: &mut Receiver) {
    receiver.taken = None;
}

#[no_mangle]
pub extern "C" fn shim_receiver_close(receiver: *mut Receiver) {
    drop(unsafe { Box::from_raw(receiver) });
}
