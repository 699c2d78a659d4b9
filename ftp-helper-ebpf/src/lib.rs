//! Empty on purpose: gives `ftp-helper` a library to build-depend on, so that
//! cargo rebuilds the agent when the programs change.
#![no_std]
