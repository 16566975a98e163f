/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iceoryx 2: the C++ API with untyped ports, its daemon RouDi with the default memory pools.
 * Lossless: the publisher waits for the subscriber; lossy: the oldest is discarded. Who blocks
 * waits in a WaitSet. A subscriber's queue has at most 256 entries.
 */
#include "shim.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <iceoryx_hoofs/log/logmanager.hpp>
#include <iceoryx_posh/popo/untyped_publisher.hpp>
#include <iceoryx_posh/popo/untyped_subscriber.hpp>
#include <iceoryx_posh/popo/wait_set.hpp>
#include <iceoryx_posh/runtime/posh_runtime.hpp>

namespace {

constexpr unsigned poll_us = 100;

iox::capro::ServiceDescription service(const shim_options *options)
{
    return {"lshm-bench", iox::capro::IdString_t(iox::cxx::TruncateToCapacity, options->name),
            "messages"};
}

iox::popo::PublisherOptions publisher_options(const shim_options *options)
{
    iox::popo::PublisherOptions result;
    result.subscriberTooSlowPolicy =
        options->lossy ? iox::popo::ConsumerTooSlowPolicy::DISCARD_OLDEST_DATA
                       : iox::popo::ConsumerTooSlowPolicy::WAIT_FOR_CONSUMER;
    return result;
}

iox::popo::SubscriberOptions subscriber_options(const shim_options *options)
{
    iox::popo::SubscriberOptions result;
    result.queueCapacity = std::min<uint64_t>(
        options->slots, iox::popo::SubscriberChunkQueueData_t::MAX_CAPACITY);
    result.queueFullPolicy = options->lossy ? iox::popo::QueueFullPolicy::DISCARD_OLDEST_DATA
                                            : iox::popo::QueueFullPolicy::BLOCK_PRODUCER;
    return result;
}

struct Sender {
    explicit Sender(const shim_options *options)
        : publisher(service(options), publisher_options(options)), size(options->size)
    {
    }
    iox::popo::UntypedPublisher publisher;
    uint32_t size;
    void *loaned = nullptr;
};

struct Receiver {
    explicit Receiver(const shim_options *options)
        : subscriber(service(options), subscriber_options(options)), block(options->block)
    {
        if (block && waitset.attachState(subscriber, iox::popo::SubscriberState::HAS_DATA)
                         .has_error()) {
            std::fprintf(stderr, "bench: iceoryx: cannot attach to the wait set\n");
            std::exit(1);
        }
    }
    iox::popo::UntypedSubscriber subscriber;
    iox::popo::WaitSet<> waitset;
    bool block;
    const void *taken = nullptr;
};

} // namespace

const char *shim_refuses(const shim_options *options, bool, uint32_t batch)
{
    (void)options;
    return batch > 1 ? "has no batches" : nullptr;
}

bool shim_has_daemon()
{
    return true;
}

void shim_daemon(const char *)
{
    int null_fd = open("/dev/null", O_WRONLY);
    dup2(null_fd, STDOUT_FILENO);
    dup2(null_fd, STDERR_FILENO);
    execlp("iox-roudi", "iox-roudi", "--monitoring-mode", "off", "--log-level", "error",
           static_cast<char *>(nullptr));
}

void shim_start(const shim_options *options)
{
    iox::log::LogManager::GetLogManager().SetDefaultLogLevel(
        iox::log::LogLevel::kError, iox::log::LogLevelOutput::kHideLogLevel);
    std::string name = std::string(options->name) + "-" + std::to_string(options->number);
    iox::runtime::PoshRuntime::initRuntime(
        iox::RuntimeName_t(iox::cxx::TruncateToCapacity, name));
}

void *shim_sender_open(const shim_options *options)
{
    return new Sender(options);
}

/* Subscribers wait in their open until they are connected. */
void shim_sender_ready(void *sender)
{
    while (!static_cast<Sender *>(sender)->publisher.hasSubscribers()) {
        usleep(poll_us);
    }
}

void *shim_loan(void *sender)
{
    auto *end = static_cast<Sender *>(sender);
    for (;;) {
        auto result = end->publisher.loan(end->size);
        if (!result.has_error()) {
            end->loaned = result.value();
            return end->loaned;
        }
    }
}

void shim_publish(void *sender)
{
    auto *end = static_cast<Sender *>(sender);
    end->publisher.publish(end->loaned);
}

void shim_sender_close(void *sender)
{
    delete static_cast<Sender *>(sender);
}

void *shim_receiver_open(const shim_options *options)
{
    auto *end = new Receiver(options);
    while (end->subscriber.getSubscriptionState() != iox::SubscribeState::SUBSCRIBED) {
        usleep(poll_us);
    }
    return end;
}

uint32_t shim_receive(void *receiver, uint32_t, bool wait, shim_message on_message, void *context)
{
    auto *end = static_cast<Receiver *>(receiver);
    for (;;) {
        auto result = end->subscriber.take();
        if (!result.has_error()) {
            end->taken = result.value();
            on_message(context, end->taken);
            return 1;
        }
        if (!wait) {
            return 0;
        }
        if (end->block) {
            end->waitset.wait();
        }
    }
}

void shim_give_back(void *receiver)
{
    auto *end = static_cast<Receiver *>(receiver);
    end->subscriber.release(end->taken);
}

void shim_receiver_close(void *receiver)
{
    delete static_cast<Receiver *>(receiver);
}
