"""The process of a node: its folder, its port, its tasks, and its end."""

from __future__ import annotations

import errno
import gc
import logging
import signal
import sys
from random import SystemRandom
from typing import Final

import trio

from trioraft.addresses import Address, AddressError, member_address
from trioraft.raft.membership import Member
from trioraft.raft.messages import NodeId
from trioraft.replica.failures import HalfDone
from trioraft.server.config import CANNOT_START, DISK_FAILED, NodeOptions, StartError
from trioraft.server.disk_thread import WorkerThread
from trioraft.server.driver import Driver
from trioraft.server.faults import Faults
from trioraft.server.faulty_disk import PausedThread
from trioraft.server.faulty_hub import FaultyHub
from trioraft.server.guards import leaves
from trioraft.server.listener import serve_listener
from trioraft.server.logs import configure
from trioraft.server.sockets import SocketHub, least_open_files, most_open_files
from trioraft.server.transport import Hub, Listener
from trioraft.server.vitals import ProcessVitals
from trioraft.storage.errors import MORE_FILES, TOO_MANY_FILES, StorageError, describe, disk_hint
from trioraft.storage.folder import DataFolder
from trioraft.wire.commands import UnknownCommand

INTERNAL: Final = 70
STOP_SECONDS: Final = 2.0
SWITCH_SECONDS: Final = 0.0002
"""How soon the disk thread gets the interpreter: it needs microseconds of it, and a turn takes milliseconds."""

log = logging.getLogger("trioraft.node")


def run_node(options: NodeOptions) -> int:
    """Run a node until it is told to stop, and return the exit code. Raises StartError."""
    configure(options.log_format, options.log_level)
    try:
        return _run_in_folder(options)
    except StartError:
        raise
    except Exception as error:
        _say_bug(options.index, error)
        return INTERNAL


def _run_in_folder(options: NodeOptions) -> int:
    _check_open_files(len(options.servers))
    try:
        folder = DataFolder.open(options.data_dir, options.index)
    except StorageError as error:
        raise StartError(error.message, error.hint) from None
    except OSError as error:
        raise _unusable(options, error) from None
    return trio.run(_run, options, folder)


def _check_open_files(members: int) -> None:
    """Raise StartError if a few clients could leave the peers or the log without a file descriptor."""
    least, limit = least_open_files(members), most_open_files()
    if limit < least:
        why = f"a node of {members} needs {least} open files for its log, the other nodes and a few clients"
        raise StartError(f"{why}, and may have {limit:.0f}", MORE_FILES)


def _unusable(options: NodeOptions, error: OSError) -> StartError:
    """Make the error for a disk that does not let the node start."""
    hint = disk_hint(error)
    if not DataFolder.may_be_a_nodes(options.data_dir):
        hint = "make room there, or let this user write there; a new node may have another folder, with --data-dir"
    if error.errno in TOO_MANY_FILES:
        hint = MORE_FILES
    return StartError(f"{options.data_dir} cannot be used: {describe(error)}", hint, DISK_FAILED)


async def _run(options: NodeOptions, folder: DataFolder) -> int:
    hub = SocketHub()
    writer = WorkerThread(hub.wake)
    background = WorkerThread(hub.wake, patience=0)
    try:
        servers = [str(address) if address else "-" for address in options.servers]
        driver = _open(options, folder, hub, writer, background, servers)
        listener = _listen(options, driver, driver.hub)
        # The garbage collector need not visit again and again what lives as long as the node.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        sys.setswitchinterval(SWITCH_SECONDS)
        return await serve(driver, listener)
    finally:
        writer.close()
        background.close()
        hub.close()


def _open(
    options: NodeOptions,
    folder: DataFolder,
    hub: SocketHub,
    writer: WorkerThread,
    background: WorkerThread,
    servers: list[str],
) -> Driver:
    try:
        random, most, node = SystemRandom(), options.max_request_bytes, options.index
        vitals = ProcessVitals(options.data_dir, writer.durations)
        if not options.allow_faults:
            return Driver(node, servers, folder, hub, writer, background, random, most, vitals=vitals)
        log.warning("node %d breaks its links and its disk for whoever asks: it runs with --allow-faults", node)
        faults = Faults(node, trio.current_time)
        around = FaultyHub(hub, faults, random), PausedThread(writer, faults), PausedThread(background, faults)
        return Driver(node, servers, folder, *around, random, most, vitals=vitals, faults=faults)
    except StorageError as error:
        folder.close()
        raise StartError(f"{options.data_dir}: {error.message}", error.hint) from None
    except OSError as error:
        folder.close()
        raise _unusable(options, error) from None


def _listen(options: NodeOptions, driver: Driver, hub: Hub) -> Listener:
    """Listen on this node's address, and log it. Raises StartError."""
    own = driver.replica.core.configuration.member(options.index)
    if own is not None:
        _warn_of_differences(driver, options, own)
    place = _place(options, own)
    try:
        listener = hub.listen(place)
    except OSError as error:
        where = f"{place}, where the cluster has it" if _keeps_place(options, own) else f"{place}"
        raise StartError(
            f"node {options.index} cannot listen on {where}: {error.strerror}", _listen_hint(options, own, error)
        ) from None
    log.info("node %d listens on %s, data in %s", options.index, listener.address, options.data_dir)
    return listener


def _keeps_place(options: NodeOptions, own: Member | None) -> bool:
    """Whether the cluster's record says where this node listens: once it has formed, unless the user says otherwise."""
    return own is not None and options.listen is None


def _place(options: NodeOptions, own: Member | None) -> Address:
    """The address on which to listen. Raises StartError."""
    if own is None or options.listen is not None:
        return options.listen or _listed(options)
    try:
        return member_address(own.address)
    except AddressError as error:
        raise StartError(
            f"the cluster has node {own.id} at an address that is none: {error}", _moved_hint(options, own)
        ) from None


def _listed(options: NodeOptions) -> Address:
    """This node's address in servers.txt."""
    listed = options.servers[options.index]
    assert listed is not None
    return listed


def _listen_hint(options: NodeOptions, own: Member | None, error: OSError) -> str:
    """Say what to do if a node cannot listen."""
    if error.errno == errno.EADDRINUSE and own is None:
        return "stop what uses that port, or change the node's line in servers.txt before the cluster's first start"
    if error.errno == errno.EADDRINUSE:
        return "stop what uses that port"
    if error.errno == errno.EACCES:
        return "ports below 1024 are for root: use another"
    if own is None or not _keeps_place(options, own):
        return "change the node's line in servers.txt, or name an address of this machine with --listen"
    return _moved_hint(options, own)


def _moved_hint(options: NodeOptions, own: Member) -> str:
    """Say what to do if a node is no longer at the address that the cluster has."""
    listed = str(_listed(options))
    if listed == own.address:
        new = "NEW-ADDRESS"
        start = "if the others reach this machine by it all the same, say with --listen where to listen. "
    else:
        new, start = listed, ""
    return (
        f"{start}its address in the cluster is {own.address}, in servers.txt {listed}, and a member keeps its address. "
        f"If it alone has moved to {new}: 'trioraft members remove {own.id}', 'trioraft members add {new}', "
        "and start it with its new id and an empty folder. If every node has moved, keep all folders: "
        "started with --listen each shows what it has, and "
        f"'trioraft recover --data-dir {options.data_dir} --force-members {new}' makes a cluster of the one that has "
        "most, with all the data (docs/operations.md, 'When all addresses have changed')"
    )


def _warn_of_differences(driver: Driver, options: NodeOptions, own: Member) -> None:
    for member in driver.replica.members:
        listed = driver.servers[member.id] if member.id < len(driver.servers) else "nothing"
        if listed != member.address:
            log.warning(
                "servers.txt says %s for node %d, and the cluster %s: the cluster's word counts",
                listed,
                member.id,
                member.address,
                extra={"about": member.id},
            )
    if str(_listed(options)) != own.address and options.listen is not None:
        log.warning("%s", _moved_hint(options, own), extra={"about": own.id})


async def serve(driver: Driver, listener: Listener) -> int:
    """Live until a signal or a failed disk ends the node. Return the exit code."""
    code = 0
    try:
        async with trio.open_nursery() as nursery:
            accepting = trio.CancelScope()
            nursery.start_soon(live, driver, listener, accepting)
            with trio.open_signal_receiver(*_signals_to_stop()) as signals:
                told = signal.Signals(await anext(signals))
                log.info("node %d is told to stop (%s)", driver.node, told.name)
                accepting.cancel()
                nursery.start_soon(_stop, driver, nursery.cancel_scope)
                while await anext(signals) == signal.SIGHUP:
                    pass  # a closed terminal sends the signal, and its shell sends it again
                nursery.cancel_scope.cancel()
    except* (Exception, HalfDone) as errors:
        # The groups of the nurseries tell nothing; each error in them tells where it comes from.
        code = max(_say_end(driver.node, error) for error in leaves(errors))
    finally:
        try:
            driver.close()
        except OSError as error:
            log.critical("the log could not be closed well: %s (%s)", describe(error), disk_hint(error))
            code = DISK_FAILED
    if not code:
        log.info("node %d stops", driver.node)
    return code


def _signals_to_stop() -> list[int]:
    """The signals that stop a node; without SIGHUP where that is ignored, because it was started with nohup."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM, signal.SIGINT, *([] if ignored else [signal.SIGHUP])]


def _say_end(node: NodeId, error: BaseException) -> int:
    """Log what ended the node and what to do. Return the exit code."""
    match error.__cause__ if isinstance(error, HalfDone) else error:
        case OSError(filename=str()) as failure:  # an error of a socket has none
            what = "it cannot open a file" if failure.errno in TOO_MANY_FILES else "its disk has failed"
            log.critical("node %d stops, %s: %s (%s)", node, what, describe(failure), disk_hint(failure))
            return DISK_FAILED
        case StorageError() as refusal:
            log.critical("node %d stops: %s (%s)", node, refusal.message, refusal.hint)
            return CANNOT_START
        case UnknownCommand() as newer:
            log.critical("node %d stops: %s", node, newer)
            return CANNOT_START
    _say_bug(node, error)
    return INTERNAL


def _say_bug(node: NodeId, error: BaseException) -> None:
    """Log an unforeseen error with its traceback, in which the cause comes first."""
    cause = error.__cause__ if isinstance(error, HalfDone) else error
    log.critical("node %d stops, which is a bug: %s: %s", node, type(cause).__name__, cause, exc_info=error)


async def live(driver: Driver, listener: Listener, accepting: trio.CancelScope) -> None:
    """Run all tasks of a node for ever; cancelling `accepting` refuses new connections. Raises what stops a node."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_accept, accepting, listener, driver)
        nursery.start_soon(driver.run)


async def _accept(scope: trio.CancelScope, listener: Listener, driver: Driver) -> None:
    with scope:
        try:
            await serve_listener(listener, driver.accept)
        finally:
            listener.close()


async def _stop(driver: Driver, scope: trio.CancelScope) -> None:
    await driver.stop(STOP_SECONDS)
    scope.cancel()
